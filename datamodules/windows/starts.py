"""Starts of a recording's windows, and how far beyond a window samples matter."""

from __future__ import annotations

import math

from datamodules.windows.settings import Reason, WindowSettings
from datamodules.windows.window import Exclusion


def margin_s(settings: WindowSettings) -> float:
    """How far beyond a window samples have a part in it, seconds: see ``signal.samples_near``."""
    return 40.0 / settings.imu_rate_hz + settings.max_gap_s


def whole_windows(begin: float, end: float, settings: WindowSettings) -> int:
    """Count the windows of a grid from ``begin`` that end before ``end``, seconds; half a sample may be missing."""
    return max(0, math.floor((end - begin - settings.duration_s + _slack_s(settings)) / settings.stride_s) + 1)


def _slack_s(settings: WindowSettings) -> float:
    return 0.5 / settings.imu_rate_hz


def window_starts(
    name: str, begin: float, end: float, first_sample: float, settings: WindowSettings
) -> tuple[list[float], list[Exclusion]]:
    """Place the windows of a recording between ``begin`` and ``end``, seconds.

    Args:
        name: of the recording.
        begin: from here on there is all that a window needs.
        end: up to here.
        first_sample: time of the sensor's first sample.
        settings: length, distance and layout of the windows.

    Returns:
        The windows' starts, and the stretches that hold none.
    """
    duration = settings.duration_s
    if settings.layout == "centred":
        start = (begin + end - duration) / 2
        # Shift the start by less than half a sample, so that samples at the same rate need no interpolation.
        shift = (start - first_sample) * settings.imu_rate_hz
        return [first_sample + round(shift) / settings.imu_rate_hz], []
    count = whole_windows(begin, end, settings)
    if count == 0:
        detail = f"sensor and video overlap for {end - begin:.2f} s; a window lasts {duration:.2f} s"
        return [], [Exclusion(name, begin, Reason.SHORT, detail)]
    starts = [begin + k * settings.stride_s for k in range(count)]
    rest = end - (starts[-1] + duration)
    if rest <= _slack_s(settings):
        return starts, []
    detail = f"{rest:.2f} s at the end are less than a window"  # shards hold it: kept word for word, see cut.py
    return starts, [Exclusion(name, starts[-1] + duration, Reason.REMAINDER, detail)]
