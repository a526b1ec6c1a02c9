"""Rules for the raw samples of one window; ``Reason`` names them, ``WindowSettings`` holds their thresholds.

Shape legend: N raw samples.
"""

from __future__ import annotations

import numpy as np

from datamodules import signal
from datamodules.recording import FloatArray, ImuStream
from datamodules.signal import BoolArray
from datamodules.windows.quality.stuck import HungAxes
from datamodules.windows.settings import Reason, WindowSettings

# Share of the median step: resampling merges samples that are closer than this.
_COINCIDENT = 0.1


def sensor_faults(
    stream: ImuStream,
    times: FloatArray,
    values: FloatArray,
    channel_mask: BoolArray,
    repeats: FloatArray,
    settings: WindowSettings,
    hung: HungAxes | None = None,
) -> dict[Reason, str]:
    """Find the faults of one window's raw samples, except gaps: the caller finds those when it resamples.

    Args:
        stream: stream of the samples, for the ranges of the device.
        times: (N,) times of the window's samples, seconds.
        values: (N, 6) m/s^2 and rad/s.
        channel_mask: (6,) True for channels that the device has.
        repeats: times of the window's samples that the source dropped because they repeat a time stamp.
        settings: thresholds of the rules.
        hung: ``stuck.find_hung`` of the whole recording: a window alone doesn't tell a dead axis from one at rest.

    Returns:
        The faults, each with a description for people.
    """
    faults: dict[Reason, str] = {}
    lost = np.isnan(values[:, channel_mask]).any(axis=1)
    if lost.any():
        first = times[np.argmax(lost)]
        faults[Reason.NAN] = f"{lost.sum()} samples with NaN, the first at {first:.3f} s"
    limits = np.repeat([stream.acceleration_range or np.nan, stream.angular_velocity_range or np.nan], 3).astype(
        np.float64
    )
    saturated = signal.count_saturated(values, limits)
    if (saturated >= settings.saturated_samples).any():
        worst = int(np.argmax(saturated))
        faults[Reason.SATURATED] = (
            f"{saturated[worst]} samples of channel {worst} at the end of the range of {limits[worst]:.1f}"
        )
    for sensor, channels in (("accelerometer", slice(0, 3)), ("gyroscope", slice(3, 6))):
        if channel_mask[channels].all():
            still = signal.longest_standstill(times, values[:, channels])
            if still >= settings.standstill_s:
                faults[Reason.FLAT_LINE] = f"the {sensor} does not change for {still:.2f} s"
    if hung is not None and Reason.FLAT_LINE not in faults and times.size > 1:
        axis = hung.within(float(times[0]), float(times[-1]))
        if axis is not None:
            faults[Reason.FLAT_LINE] = axis.describe()
    norm = signal.median_acceleration(values)
    if np.isfinite(norm) and not settings.min_norm_g * signal.G <= norm <= settings.max_norm_g * signal.G:
        faults[Reason.GRAVITY] = f"the median acceleration is {norm:.3g} m/s^2; on a person it is near 9.8"
    repeated = repeats.size + count_coincident(times)
    total = repeats.size + times.size
    if repeated > settings.max_repeated_share * total:
        faults[Reason.REPEATED] = f"{repeated} of {total} samples have the time stamp of another one"
    return faults


def count_coincident(times: FloatArray) -> int:
    """Count the samples that follow the previous sample by less than a tenth of the median step."""
    steps = np.diff(times)
    # The count does not depend on the order, so the median may reorder the steps instead of copying a day of them.
    return int((steps < _COINCIDENT * signal.median(steps)).sum()) if steps.size else 0


def describe_gap(times: FloatArray, values: FloatArray, start: float, end: float, max_gap_s: float) -> str:
    """Describe the longest gap that touches a window.

    Args:
        times: (N,) seconds; the window's samples, extended to a measured sample on either side if there is one.
        values: (N, 6); a row with NaN is a lost sample.
        start: start of the window, seconds.
        end: end of the window, seconds.
        max_gap_s: longest distance of neighbouring samples that is no gap, seconds.
    """
    kept = times[~np.isnan(values).any(axis=1)]
    gaps = signal.find_gaps(kept, max_gap_s)
    gaps = gaps[(gaps[:, 1] > start) & (gaps[:, 0] < end)]
    if not len(gaps):
        return "samples are missing at an end of the recording"
    lengths = gaps[:, 1] - gaps[:, 0]
    longest = int(np.argmax(lengths))
    return f"no samples for {lengths[longest]:.3f} s from {gaps[longest, 0]:.3f} s on"
