"""MP4 files of action cameras with a built-in IMU: GoPro, DJI, Insta360, Sony.

telemetry-parser (https://github.com/AdrianEddy/telemetry-parser) reads the IMU: acceleration in m/s^2 with
gravity, angular velocity in deg/s, time in ms since the first telemetry in the file. A cut without encoding keeps
whole packets of video and telemetry, and hides their starts by edit lists. So the edit list of the telemetry says when
its time 0 was.

A GoPro's telemetry comes in payloads of about a second, whose times the container has. telemetry-parser puts all
samples of the file at one rate, which is wrong where a payload has no samples, and it gives accelerometer and gyroscope
one rate. So its times are held against the container's, and those of payloads are taken where they differ.
"""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.formats import mp4
from datamodules.formats.mp4 import Movie
from datamodules.formats.video import VideoFile
from datamodules.recording import FloatArray, ImuStream, Recording, RecordingError
from datamodules.signal import DEGREE
from datamodules.sources.registry import Source, source
from datamodules.sources.shared.streams import on_one_grid

_MAX_GAP_S = 0.1
_APART_S = (
    0.02  # between a payload's time in the container and telemetry-parser's; those of GoPro's own clip agree to 4 ms
)
_FEWER = 0.05  # share of a payload's usual samples that may be missing; when the others were taken is not known then

# Codings of telemetry that is a track of its own: GoPro, Sony, DJI, Google's CAMM.
_TELEMETRY = ("gpmd", "rtmd", "djmd", "camm")
_GPMF = "gpmd"


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
        RecordingError: telemetry-parser is missing, or the file is, or there is no motion data in it.
    """
    if not path.is_file():
        raise RecordingError(f"{path}: the video file is not there")
    movie = mp4.read_movie(path)
    if movie is not None:
        mp4.check_counts(path, movie)  # before a parser makes room for what a damaged table counts
    rows, counts, device = _parse(path)
    if sum(row.get("accl") is not None for row in rows) < 2:
        found = sum(row.get("accl") is not None for row in rows)
        raise RecordingError(f"{path}: {found} samples of acceleration in its telemetry; expected many")
    stamps = np.array([row["timestamp_ms"] for row in rows], np.float64) / 1000
    longest = np.array([max(pair) for pair in counts], np.int64)
    begins = np.concatenate([[0], np.cumsum(longest)])
    edges = _edges(path, movie, longest)
    unequal = any(of_accl and of_gyro and of_accl != of_gyro for of_accl, of_gyro in counts)
    if unequal or (edges is not None and not _agree(edges, stamps, begins)):
        if begins[-1] != len(rows):
            raise RecordingError(
                f"{path}: its telemetry has {begins[-1]} samples by payloads and {len(rows)} in all; expected as many"
            )
        if edges is None:
            usual = float(np.median(np.diff(stamps))) if stamps.size > 1 else 0.0
            edges = np.append(stamps, stamps[-1] + usual)[begins]
        times, values = _by_payloads(path, rows, begins, edges)
    else:
        # Rows with only one of the two sensors (or a magnetometer alone) can't be placed in six channels.
        there = [i for i, row in enumerate(rows) if row.get("accl") is not None]
        missing = (np.nan, np.nan, np.nan)
        values = np.array([(*rows[i]["accl"], *(rows[i].get("gyro") or missing)) for i in there], np.float64)
        times = stamps[there]
    values[:, 3:] *= DEGREE
    return ImuStream(times + _zero_s(movie), values, placement, device=device, origin=str(path))


def _zero_s(movie: Movie | None) -> float:
    """When the telemetry's time 0 is on the container's clock, which is the video's too."""
    tracks = movie.tracks if movie is not None else ()
    return next((track.zero_s for track in tracks if track.coding in _TELEMETRY), 0.0)


def _edges(path: Path, movie: Movie | None, longest: NDArray[np.int64]) -> FloatArray | None:
    """Begin of each payload and end of the last one by the container, seconds; None where it does not say."""
    track = next((t for t in movie.tracks if t.coding == _GPMF), None) if movie is not None else None
    if track is None:
        return None
    samples = mp4.read_samples(path, track)
    count = samples.decoded.size
    headers = longest.size - count  # telemetry of the file as a whole comes first
    if count == 0 or headers < 0 or longest[:headers].any():
        return None
    decoded = samples.decoded / track.time_scale
    steps = np.diff(decoded)
    last = track.media_s if track.media_s is not None and track.media_s > decoded[-1] else None
    end = last if last is not None else decoded[-1] + (float(np.median(steps)) if steps.size else 1.0)
    return np.concatenate([np.full(headers, decoded[0]), decoded, [end]])


def _agree(edges: FloatArray, stamps: FloatArray, begins: NDArray[np.int64]) -> bool:
    """Whether each payload's first sample is where the container has the payload."""
    some = np.flatnonzero(np.diff(begins))
    return bool((np.abs(stamps[begins[some]] - edges[some]) <= _APART_S).all())


def _by_payloads(
    path: Path, rows: list[dict[str, Any]], begins: NDArray[np.int64], edges: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Times and values where sensors have rates of their own, or payloads have times of their own.

    telemetry-parser puts sample k of one sensor beside sample k of the other, so that the slower one fills the first
    part of each payload. The samples of a payload are spread over its time instead, each sensor by itself. A payload
    with fewer samples than its time holds is left out, as nobody knows which are missing; the last one just ends early.
    """
    parts = {}
    for name in ("accl", "gyro"):
        found = [
            np.array([row[name] for row in rows[a:b] if row.get(name) is not None], np.float64).reshape(-1, 3)
            for a, b in itertools.pairwise(begins.tolist())
        ]
        parts[name] = _spread(found, edges)
    (accl_times, accl), (gyro_times, gyro) = parts["accl"], parts["gyro"]
    if accl_times.size < 2:
        raise RecordingError(f"{path}: {accl_times.size} samples of acceleration whose time is known; expected many")
    if gyro_times.size < 2:
        return accl_times, np.concatenate([accl, np.full_like(accl, np.nan)], axis=1)
    return on_one_grid(accl_times, accl, gyro_times, gyro, _MAX_GAP_S)


def _spread(payloads: list[FloatArray], edges: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Samples of one sensor, evenly over the time of their payloads."""
    lengths = np.diff(edges)
    counts = np.array([len(payload) for payload in payloads])
    some = np.flatnonzero((counts > 0) & (lengths > 0))
    if not some.size:
        return np.empty(0), np.empty((0, 3))
    step = float(np.median(lengths[some] / counts[some]))
    times, values = [], []
    for k in some.tolist():
        full = counts[k] * step >= (1 - _FEWER) * lengths[k]
        if not full and k != some[-1]:
            continue
        own = lengths[k] / counts[k] if full else step
        times.append(edges[k] + own * np.arange(counts[k]))
        values.append(payloads[k])
    return (np.concatenate(times), np.concatenate(values)) if times else (np.empty(0), np.empty((0, 3)))


def _parse(path: Path) -> tuple[list[dict[str, Any]], list[tuple[int, int]], str]:
    """Rows, samples of accelerometer and gyroscope in each payload, and the device."""
    try:
        import telemetry_parser
    except ModuleNotFoundError as error:
        raise RecordingError(
            f"{path}: the package telemetry-parser is needed to read its motion data; its version 0.3 can be had for "
            f"Python 3.10 to 3.12, and this is Python {sys.version_info.major}.{sys.version_info.minor}"
        ) from error
    try:
        parser = telemetry_parser.Parser(str(path))
        payloads = [payload for payload in parser.telemetry() if isinstance(payload, dict)]
        counts = [(_samples(payload, "Accelerometer"), _samples(payload, "Gyroscope")) for payload in payloads]
        device = " ".join(str(name) for name in (parser.camera, parser.model) if name)
        return list(parser.normalized_imu()), counts, device or "unknown"
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
