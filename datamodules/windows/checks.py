"""Is a recording what the contract says? The build asks this of every recording before it cuts windows."""

from __future__ import annotations

import numpy as np

from datamodules.recording import CHANNELS, ImuStream, Recording, RecordingError


def check_imu(stream: ImuStream) -> None:
    """Check shapes, times and values of a motion sensor's stream.

    NaN is allowed where the contract allows it: a lost sample, or three channels of a gyroscope that is not
    there. Windows with lost samples are found, counted and left out by ``windows.cut_windows``.

    Raises:
        RecordingError: the message names the file, the sample and the values found.
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
        raise RecordingError(f"{where}: no value at all in {', '.join(dead)}; expected an accelerometer")


def check_recording(recording: Recording) -> None:
    """Check everything but the videos, which check themselves when they are opened.

    Raises:
        RecordingError: the message names the recording or file, what was found and what is expected.
    """
    if not recording.imus:
        raise RecordingError(f"recording {recording.name}: no IMU")
    for kind, names in (
        ("IMU placement", [s.placement for s in recording.imus]),
        ("camera", [s.camera for s in recording.videos]),
    ):
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise RecordingError(f"recording {recording.name}: {kind} '{twice[0]}' is there more than once")
    if not np.isfinite(recording.imu_clock_offset_s):
        raise RecordingError(
            f"recording {recording.name}: imu_clock_offset_s is {recording.imu_clock_offset_s}; "
            "expected a finite number of seconds"
        )
    for stream in recording.imus:
        check_imu(stream)
    strange = sorted(set(recording.labelled_on) - {stream.placement for stream in recording.imus})
    if strange:
        raise RecordingError(
            f"recording {recording.name}: labelled_on names '{strange[0]}'; expected placements of its IMUs"
        )
    for interval in recording.activities:
        # Written so that NaN fails too.
        if not (interval.end > interval.start) or not interval.activity:
            raise RecordingError(
                f"recording {recording.name}: label '{interval.activity}' from {interval.start} to "
                f"{interval.end} s; expected a name, and an end after the start"
            )
