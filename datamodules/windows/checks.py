"""Checks of a recording against its contract; the build applies them before it cuts windows."""

from __future__ import annotations

import numpy as np

from datamodules.recording import CHANNELS, ImuStream, Recording, RecordingError


def check_imu(stream: ImuStream) -> None:
    """Check shapes, times and values of a motion sensor's stream.

    The contract allows NaN for a lost sample and for the three channels of a missing gyroscope.
    ``windows.cut_windows`` finds, counts and excludes windows with lost samples.

    Raises:
        RecordingError: the stream breaks the contract; the message names the file, the sample and the values found.
    """
    where = f"{stream.origin}, IMU at {stream.placement}"
    times, values = stream.times, stream.values
    if times.ndim != 1 or values.shape != (times.size, len(CHANNELS)):
        raise RecordingError(
            f"{where}: times of shape {times.shape} and values of shape {values.shape}; "
            f"expected (N,) and (N, {len(CHANNELS)}) with the same N"
        )
    if times.size < 2:
        raise RecordingError(f"{where}: {times.size} samples; expected at least 2")
    unusable = np.flatnonzero(~np.isfinite(times))
    if unusable.size:
        raise RecordingError(
            f"{where}: {unusable.size} of {times.size} times are not finite, "
            f"the first is sample {unusable[0]} ({times[unusable[0]]})"
        )
    backwards = np.flatnonzero(np.diff(times) <= 0)
    if backwards.size:
        i = int(backwards[0])
        raise RecordingError(
            f"{where}: time runs backwards or stands still at {backwards.size} of {times.size} samples, "
            f"first from sample {i} ({times[i]:.6f} s) to sample {i + 1} ({times[i + 1]:.6f} s); "
            "expected strictly increasing times"
        )
    infinite = np.argwhere(np.isinf(values))
    if infinite.size:
        row, column = infinite[0]
        raise RecordingError(
            f"{where}: {len(infinite)} infinite values, first in sample {row}, channel {CHANNELS[column]}"
        )
    dead = [CHANNELS[c] for c in range(3) if np.isnan(values[:, c]).all()]
    if dead:
        raise RecordingError(f"{where}: every value of {', '.join(dead)} is NaN; expected accelerations")


def check_recording(recording: Recording) -> None:
    """Check a recording without its videos; a video is checked when it is opened.

    Raises:
        RecordingError: the recording breaks the contract; the message names the recording or file, the value found and
            the value expected.
    """
    if not recording.imus:
        raise RecordingError(f"recording {recording.name}: no IMU")
    for kind, names in (
        ("IMU placement", [s.placement for s in recording.imus]),
        ("camera", [s.camera for s in recording.videos]),
    ):
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise RecordingError(f"recording {recording.name}: {kind} '{twice[0]}' occurs more than once")
    if not np.isfinite(recording.imu_clock_offset_s):
        raise RecordingError(
            f"recording {recording.name}: imu_clock_offset_s is {recording.imu_clock_offset_s}; "
            "expected a finite number of seconds"
        )
    for stream in recording.imus:
        check_imu(stream)
    unknown = sorted(set(recording.labelled_on) - {stream.placement for stream in recording.imus})
    if unknown:
        raise RecordingError(
            f"recording {recording.name}: labelled_on names '{unknown[0]}'; expected placements of its IMUs"
        )
    for interval in recording.activities:
        # "not >" instead of "<=": NaN must fail too.
        if not (interval.end > interval.start) or not interval.activity:
            raise RecordingError(
                f"recording {recording.name}: label '{interval.activity}' from {interval.start} to "
                f"{interval.end} s; expected a name, and an end after the start"
            )
