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
from datamodules.recording import FloatArray, ImuStream, Recording, RecordingError
from datamodules.signal import DEGREE
from datamodules.sources.registry import Source, source
from datamodules.sources.shared.streams import on_one_grid

_MAX_GAP_S = 0.1

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
    rows, counts, device = _parse(path)
    if sum(row.get("accl") is not None for row in rows) < 2:
        found = sum(row.get("accl") is not None for row in rows)
        raise RecordingError(f"{path}: {found} samples of acceleration in its telemetry; expected many")
    stamps = np.array([row["timestamp_ms"] for row in rows], np.float64) / 1000 + _zero_s(path)
    if any(of_accl and of_gyro and of_accl != of_gyro for of_accl, of_gyro in counts):
        times, values = _by_payloads(path, rows, stamps, counts)
    else:
        # Rows with only one of the two sensors (or a magnetometer alone) can't be placed in six channels.
        there = [i for i, row in enumerate(rows) if row.get("accl") is not None]
        missing = (np.nan, np.nan, np.nan)
        values = np.array([(*rows[i]["accl"], *(rows[i].get("gyro") or missing)) for i in there], np.float64)
        times = stamps[there]
    values[:, 3:] *= DEGREE
    return ImuStream(times, values, placement, device=device, origin=str(path))


def _zero_s(path: Path) -> float:
    """When the telemetry's time 0 is on the container's clock, which is the video's too."""
    movie = mp4.read_movie(path)
    tracks = movie.tracks if movie is not None else ()
    return next((track.zero_s for track in tracks if track.coding in _TELEMETRY), 0.0)


def _by_payloads(
    path: Path, rows: list[dict[str, Any]], stamps: FloatArray, counts: list[tuple[int, int]]
) -> tuple[FloatArray, FloatArray]:
    """Times and values of sensors with rates of their own.

    telemetry-parser puts sample k of one sensor beside sample k of the other, so that the slower one fills the first
    part of each payload. The samples of a payload are spread over its time instead, each sensor by itself.
    """
    longest = [max(pair) for pair in counts if max(pair)]
    if sum(longest) != len(rows):
        raise RecordingError(
            f"{path}: its telemetry has {sum(longest)} samples by payloads and {len(rows)} in all; expected as many"
        )
    begins = np.cumsum([0, *longest])
    usual = float(np.median(np.diff(stamps))) if stamps.size > 1 else 0.0
    edges = np.append(stamps[begins[:-1]], stamps[-1] + usual)
    parts: dict[str, tuple[list[FloatArray], list[FloatArray]]] = {"accl": ([], []), "gyro": ([], [])}
    for k, begin in enumerate(begins[:-1]):
        for name, (times, values) in parts.items():
            found = [row[name] for row in rows[begin : begins[k + 1]] if row.get(name) is not None]
            times.append(edges[k] + np.arange(len(found)) / max(1, len(found)) * (edges[k + 1] - edges[k]))
            values.append(np.array(found, np.float64).reshape(-1, 3))
    (accl_times, accl), (gyro_times, gyro) = (
        (np.concatenate(times), np.concatenate(values)) for times, values in parts.values()
    )
    return on_one_grid(accl_times, accl, gyro_times, gyro, _MAX_GAP_S)


def _parse(path: Path) -> tuple[list[dict[str, Any]], list[tuple[int, int]], str]:
    """Rows, samples of accelerometer and gyroscope in each payload, and the device."""
    try:
        parser = telemetry_parser.Parser(str(path))
        payloads = [payload for payload in parser.telemetry() if isinstance(payload, dict)]
        counts = [(_samples(payload, "Accelerometer"), _samples(payload, "Gyroscope")) for payload in payloads]
        return list(parser.normalized_imu()), counts, f"{parser.camera} {parser.model}"
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        raise RecordingError(f"{path}: no telemetry that can be read: {error}") from error
    except BaseException as error:
        # A panic of the Rust library arrives as pyo3's PanicException, which is not an Exception and can't be
        # imported. Any other BaseException, e.g. an interrupt, is raised again.
        if type(error).__name__ != "PanicException":
            raise
        raise RecordingError(f"{path}: telemetry-parser failed on it: {error}") from error


def _samples(payload: dict[str, Any], sensor: str) -> int:
    data = payload.get(sensor, {}).get("Data", ())
    return len(data) if hasattr(data, "__len__") else 0
