"""Another part: its noise, its bias, or one without a gyroscope.

Data sheets of parts for phones and watches (ICM-20948, BMI270, LSM6DSO) give 80 to 230 ug and 3.8 to 15 mdps per
square root of Hz, that is 0.8e-3 to 2.3e-3 m/s^2 and 7e-5 to 2.6e-4 rad/s, and offsets of 20 to 25 mg and 0.5 to
1 deg/s, that is 0.2 to 0.25 m/s^2 and 0.009 to 0.017 rad/s, as standard deviations between parts. A bias' random walk
(2e-4 m/s^2 per square root of s) is lost beside that in a window of some seconds, and left out.

Shape legend: B batch, T samples.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from datamodules.augment.draws import Draws


def sensor_errors(imu: Tensor, noise: float, bias: float, rate_hz: float, draws: Draws) -> Tensor:
    """What one sensor of each window's own part adds to its three axes.

    Args:
        imu: (B, T, ...), for its shape.
        noise: largest density; each window's is uniform below it. Half the sampling rate is the sensor's band.
        bias: standard deviation of each axis' constant.
        rate_hz: samples a second.
        draws: random numbers of these windows.

    Returns:
        (B, T, 3) in the unit of ``bias``, or that of ``noise`` times the square root of Hz.
    """
    error = bias * draws.normal(1, 3)
    deviation = noise * math.sqrt(rate_hz / 2) * draws.uniform(1, 1)
    return error + deviation * draws.normal(imu.shape[1], 3)


def drop_gyroscope(channel_mask: Tensor, probability: float, draws: Draws) -> Tensor:
    """Channel masks (B, 6) without the gyroscope, with a probability; one that is all a window has stays."""
    lost = draws.uniform(1) < probability
    lost = lost & channel_mask[:, :3].any(dim=1, keepdim=True)
    return torch.cat([channel_mask[:, :3], channel_mask[:, 3:] & ~lost], dim=1)
