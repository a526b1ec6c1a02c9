"""How far apart a camera's and a sensor's clocks are, from what both saw of the same motion.

    estimate = estimate_clock(recording, "head", "action_camera")
    print(estimate)

Sign: sensor stamps + ``offset_s`` = video stamps.
"""

from datamodules.clock_sync.estimate import CERTAIN, ClockEstimate, ClockSettings, estimate_clock, shifted

__all__ = ["CERTAIN", "ClockEstimate", "ClockSettings", "estimate_clock", "shifted"]
