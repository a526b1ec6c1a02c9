"""MP4 files of action cameras with a built-in IMU: GoPro, DJI, Insta360, Sony.

telemetry-parser (https://github.com/AdrianEddy/telemetry-parser) reads the IMU: acceleration in m/s^2 with
gravity, angular velocity in deg/s, time in ms since the first telemetry in the file. A cut without encoding keeps
whole packets of video and telemetry, and hides their starts by edit lists. So the edit list of the telemetry says when
its time 0 was.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import telemetry_parser

from datamodules.formats import mp4
from datamodules.formats.video import VideoFile
from datamodules.recording import ImuStream, Recording, RecordingError
from datamodules.signal import DEGREE
from datamodules.sources.registry import Source, source

# Codings of telemetry that is a track of its own: GoPro, Sony, DJI, Google's CAMM.
_TELEMETRY = ("gpmd", "rtmd", "djmd", "camm")


@dataclass
class ActionCameraParams:
    """Settings of action-camera files; all files belong to one subject."""

    # Files, or patterns with * below the working directory.
    paths: list[str] = field(default_factory=lambda: ["../shared/data/gopro/*.mp4"])
    subject: str = "unknown"
    placement: str = "head"
    population: str = "general"
    video_fit: str = "crop"  # "crop", "pad" or "squash", see formats.video.VideoFile


@source("action_camera", ActionCameraParams)
class ActionCamera(Source):
    """One recording per file, with one IMU and camera ``action_camera``; without labels."""

    def __init__(self, params: ActionCameraParams) -> None:
        self.params = params

    def names(self) -> list[str]:
        """List the files' names without ending, sorted.

        Raises:
            ValueError: a pattern matches no file, or two files have the same name.
        """
        return list(self._files())

    def subject_of(self, name: str) -> str:
        """Return the subject of the settings."""
        return self.params.subject

    def load(self, name: str) -> Recording:
        """Load one file.

        Raises:
            RecordingError: there is no such file, or it has no telemetry.
        """
        files = self._files()
        if name not in files:
            raise RecordingError(f"no file '{name}' among {', '.join(self.params.paths)}")
        path = files[name]
        stream = read_imu(path, self.params.placement)
        return Recording(
            name=name,
            subject=self.params.subject,
            imus=(stream,),
            videos=(VideoFile(path, "action_camera", fit=self.params.video_fit),),
            population=self.params.population,
            source="action_camera",
        )

    def _files(self) -> dict[str, Path]:
        files: dict[str, Path] = {}
        for pattern in self.params.paths:
            path = Path(pattern)
            matches = [path]
            if any(c in pattern for c in "*?["):
                base = Path(path.anchor) if path.is_absolute() else Path()
                matches = sorted(base.glob(str(path.relative_to(path.anchor))))
            if not matches or not all(match.is_file() for match in matches):
                raise ValueError(f"source action_camera: no file matches '{pattern}' (its setting 'paths')")
            for match in matches:
                if files.get(match.stem, match) != match:
                    raise ValueError(f"source action_camera: {files[match.stem]} and {match} have the same name")
                files[match.stem] = match
        return dict(sorted(files.items()))


def read_imu(path: Path, placement: str) -> ImuStream:
    """Read the motion sensor of a video file.

    Raises:
        RecordingError: the file is missing, or telemetry-parser finds no motion data in it.
    """
    if not path.is_file():
        raise RecordingError(f"{path}: the video file is not there")
    rows, device = _parse(path)
    # A row without an accelerometer, e.g. of a magnetometer alone, gives no sample.
    rows = [row for row in rows if row.get("accl") is not None]
    if len(rows) < 2:
        raise RecordingError(f"{path}: {len(rows)} samples of acceleration in its telemetry; expected many")
    missing = (np.nan, np.nan, np.nan)
    values = np.array([(*row["accl"], *(row.get("gyro") or missing)) for row in rows], np.float64)
    values[:, 3:] *= DEGREE
    times = np.array([row["timestamp_ms"] for row in rows], np.float64) / 1000 + _zero_s(path)
    return ImuStream(times, values, placement, device=device, origin=str(path))


def _zero_s(path: Path) -> float:
    """When the telemetry's time 0 is on the container's clock, which is the video's too."""
    movie = mp4.read_movie(path)
    tracks = movie.tracks if movie is not None else ()
    return next((track.zero_s for track in tracks if track.coding in _TELEMETRY), 0.0)


def _parse(path: Path) -> tuple[list[dict[str, Any]], str]:
    try:
        parser = telemetry_parser.Parser(str(path))
        return list(parser.normalized_imu()), f"{parser.camera} {parser.model}"
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        raise RecordingError(f"{path}: no telemetry that can be read: {error}") from error
    except BaseException as error:
        # A panic of the Rust library arrives as pyo3's PanicException, which is not an Exception and can't be
        # imported. Any other BaseException, e.g. an interrupt, is raised again.
        if type(error).__name__ != "PanicException":
            raise
        raise RecordingError(f"{path}: telemetry-parser failed on it: {error}") from error
