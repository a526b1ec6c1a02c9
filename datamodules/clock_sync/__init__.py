"""Offset between the clocks of a camera and a sensor, estimated from the motion that both record.

    estimate = estimate_clock(recording, "head", "action_camera")
    print(estimate)

Sign: sensor stamps + ``offset_s`` = video stamps.
"""

from datamodules.clock_sync.estimate import ClockSettings, estimate_clock, shifted
from datamodules.clock_sync.result import CERTAIN, ClockEstimate

__all__ = ["CERTAIN", "ClockEstimate", "ClockSettings", "estimate_clock", "shifted"]
