"""Settings of the augmentations of IMU windows."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from core.settings import setting


@dataclass
class AugmentSettings:
    """Magnitudes of the augmentations in training; 0 switches one off."""

    rotation_deg: float = setting(15.0, "standard deviation of a random rotation of both sensors, degrees", at_least=0)
    noise: float = setting(0.02, "standard deviation of white noise, in normalised units", at_least=0)
    scale: float = setting(0.1, "standard deviation of a random gain per window and sensor", at_least=0)
    shift_s: float = setting(0.1, "largest shift of the IMU in time, seconds; the frames' times move too", at_least=0)
    time_warp: float = setting(0.15, "largest change of speed, |log r|; angular rate and frames' times too", at_least=0)
    trim: float = setting(0.1, "largest share of the valid samples lost at each end", at_least=0, at_most=0.5)
    warp_acceleration: bool = setting(False, "let a change of speed r change the linear acceleration by r squared")
    rotation_about_gravity: float = setting(0.0, "share of windows turned about the vertical", at_least=0, at_most=1)
    rotation_any: float = setting(0.0, "share of windows turned uniformly over all rotations", at_least=0, at_most=1)
    accelerometer_noise: float = setting(
        0.0, "largest density of white noise, m/s2 per root Hz (parts: 0.001-0.002)", at_least=0
    )
    gyroscope_noise: float = setting(
        0.0, "largest density of white noise, rad/s per root Hz (parts: 0.0001-0.0003)", at_least=0
    )
    accelerometer_bias: float = setting(
        0.0, "standard deviation of each axis' bias, m/s2 (parts: 0.2-0.25)", at_least=0
    )
    gyroscope_bias: float = setting(0.0, "standard deviation of each axis' bias, rad/s (parts: 0.01-0.02)", at_least=0)
    drop_gyroscope: float = setting(0.0, "probability that a window loses its gyroscope", at_least=0, at_most=1)
    placement_jitter_cm: float = setting(
        0.0, "standard deviation of the sensor's place on its segment, each axis, cm", at_least=0
    )

    @classmethod
    def only(cls, **magnitudes: Any) -> AugmentSettings:
        """Switch everything off but ``magnitudes``."""
        off = {field.name: False if field.name == "warp_acceleration" else 0.0 for field in fields(cls)}
        return cls(**{**off, **magnitudes})
