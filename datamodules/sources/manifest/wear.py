"""Long recordings as a manifest asks for them: gain and offset applied, time without the person left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from datamodules.recording import ImuStream, RecordingError
from datamodules.sources.manifest.spec import SensorSpec
from datamodules.windows.quality.calibration import calibrated, find_calibration
from datamodules.windows.quality.possible import without_impossible
from datamodules.windows.quality.stationary import non_wear, rest_windows


def as_worn(
    streams: Sequence[ImuStream], sensors: Mapping[str, SensorSpec]
) -> tuple[list[ImuStream], list[str], float]:
    """Streams as their sensors' ``calibrate`` and ``non_wear`` ask for.

    Args:
        streams: of one recording.
        sensors: placement -> the entry that has its acceleration.

    Returns:
        The streams, what was done, in words, and the most seconds that were left out of one of them.

    Raises:
        RecordingError: a sensor that is to be left out where it was not worn was never worn.
    """
    found, notes, longest = [], [], 0.0
    for stream in streams:
        sensor = sensors[stream.placement]
        if not sensor.calibrate and sensor.non_wear == "keep":
            found.append(stream)
            continue
        windows = rest_windows(stream.times, without_impossible(stream)[0].values[:, :3])
        if sensor.calibrate:
            calibration = find_calibration(windows)
            stream = calibrated(stream, calibration)
            done = "not calibrated" if calibration.refused else "calibrated"
            notes.append(f"{stream.placement}: {done}: {calibration.describe()}")
        if sensor.non_wear == "drop" and (episodes := non_wear(windows)):
            stream = _without(stream, episodes)
            seconds = sum(end - begin for begin, end in episodes)
            longest = max(longest, seconds)
            many = f"{len(episodes)} stretch{'es' if len(episodes) > 1 else ''}"
            notes.append(f"{stream.placement}: {seconds / 3600:.1f} h without movement left out, in {many}: not worn")
        found.append(stream)
    return found, notes, longest


def _without(stream: ImuStream, episodes: Sequence[tuple[float, float]]) -> ImuStream:
    kept = np.ones(stream.times.size, bool)
    for begin, end in episodes:
        kept[slice(*np.searchsorted(stream.times, [begin, end]))] = False
    if int(kept.sum()) < 2:
        raise RecordingError(
            f"{stream.origin}: the sensor at {stream.placement} was not worn at all: no movement from "
            f"{stream.times[0]:.0f} to {stream.times[-1]:.0f} s; expected a worn sensor, or non_wear: keep"
        )
    return replace(stream, times=stream.times[kept], values=stream.values[kept])
