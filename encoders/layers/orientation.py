"""Channels that do not depend on how a sensor is turned: a window in a frame of gravity and of its own main direction.

Shape legend: B batch, T samples, C = 6 channels (ax ay az gx gy gz), A = 8 aligned channels.

**The vertical** is the mean acceleration of the window's valid samples. A low-pass would follow a sensor that tilts
within the window. But it takes slow motion for gravity, depends on the rate, and has no answer across a gap. One mean
gives one frame for the window: the aligned channels are the window itself, turned. What tilting there is stays in
them, as slow acceleration about the mean.

**The heading** is the horizontal direction along which acceleration varies most (the first principal component). Its
sign makes the third moment along it positive: the hardest pushes point ahead. "Sideways" completes a right-handed
frame. Where motion to both sides is alike, the sign is chance, and turning the sensor may turn the heading by 180
degrees.

**Invariance.** All eight channels are the same after any fixed rotation of the sensor, up to rounding: the frame is
made of the measured vectors alone. A mirrored sensor (left-handed axes) is another matter.

**Masks.** A window without a direction says so in its mask of channels, and its values are zero:

* no vertical (an axis of the accelerometer missing, or a mean below a tenth of the root mean square: free fall,
  tumbling, or windows brought to mean 0): no aligned channel;
* no heading (horizontal motion below 1 % of gravity, or almost the same in all directions): no ahead, no sideways;
* no gyroscope: no angular rate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from core.settings import check_settings, setting
from encoders.contract import ImuEncoder, ImuFeatures, ImuInput

RAW, RAW_AND_GRAVITY, GRAVITY = "raw", "raw+gravity", "gravity"
ORIENTATIONS = (RAW, RAW_AND_GRAVITY, GRAVITY)

# In this order the first six are laid out as the raw channels are: three of acceleration, three of angular rate.
ALIGNED_CHANNELS = (
    "acceleration ahead",
    "acceleration sideways",
    "acceleration up, gravity included",
    "angular rate about ahead",
    "angular rate about sideways",
    "angular rate about up",
    "horizontal acceleration, magnitude",
    "horizontal angular rate, magnitude",
)

_LEAST_MEAN = 0.1  # of the root mean square; rounding gives 1e-7 where there is no mean
_LEAST_MOTION = 0.01  # horizontal, root mean square over gravity; a sensor at rest has noise of 0.002
_LEAST_GAP = 0.05  # difference of the two horizontal variances over their sum
_TINY = 1e-20


@dataclass
class OrientationParams:
    """The setting that an encoder gets by deriving its own settings from these."""

    orientation: str = setting(
        "raw",
        "what the encoder sees: channels as measured ('raw'), in a frame of gravity and heading, which no rotation of"
        " the sensor changes ('gravity'), or both side by side ('raw+gravity')",
        choices=ORIENTATIONS,
    )


class GravityAligned(nn.Module):
    """The aligned channels of windows; it has no weights, and no gradient passes through them.

    Args:
        raw: put them behind the raw channels instead of in their place.
    """

    def __init__(self, raw: bool) -> None:
        super().__init__()
        self.raw = raw

    def forward(self, imu: Tensor, channel_mask: Tensor, sample_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Align a batch.

        Args:
            imu: (B, T, 6); both sensors in one unit for their three axes. Values where a mask is False do not matter.
            channel_mask: (B, 6) bool.
            sample_mask: (B, T) bool.

        Returns:
            Channels in the order of ``ALIGNED_CHANNELS``, (B, T, A), or (B, T, 6 + A) with the raw ones before them,
            zero where a mask is False; and which of them there are, (B, A) or (B, 6 + A).
        """
        measured = sample_mask.unsqueeze(2) & channel_mask.unsqueeze(1)
        aligned, found = _aligned(torch.where(measured, imu.detach(), 0).float(), channel_mask, sample_mask)
        aligned = torch.where(sample_mask.unsqueeze(2) & found.unsqueeze(1), aligned, 0).to(imu.dtype)
        if not self.raw:
            return aligned, found
        return torch.cat([imu, aligned], dim=2), torch.cat([channel_mask, found], dim=1)


def _aligned(values: Tensor, channel_mask: Tensor, sample_mask: Tensor) -> tuple[Tensor, Tensor]:
    # Sums of products instead of matrix products: mixed precision would round these to eight bits.
    count = sample_mask.sum(1, keepdim=True).clamp(min=1)  # (B, 1)
    acceleration, rate = values[..., :3], values[..., 3:]
    mean = acceleration.sum(1) / count
    size = mean.square().sum(1).sqrt()
    vertical = channel_mask[:, :3].all(1) & (
        size > _LEAST_MEAN * (acceleration.square().sum((1, 2)) / count[:, 0]).sqrt()
    )
    up = mean * (vertical / size.clamp(min=_TINY)).unsqueeze(1)
    first, second = horizontal_basis(up)
    a, b, a_up = (_along(acceleration, axis) for axis in (first, second, up))  # (B, T)
    p, q, rate_up = (_along(rate, axis) for axis in (first, second, up))

    # The mean along a and b is zero: the vertical is the mean.
    aa, bb, ab = ((x * y).sum(1) / count[:, 0] for x, y in ((a, a), (b, b), (a, b)))
    apart, spread = aa - bb, aa + bb
    gap = (apart.square() + 4 * ab.square()).sqrt()
    heading = vertical & (spread.sqrt() > _LEAST_MOTION * size) & (gap > _LEAST_GAP * spread)
    # Both are the principal direction; the longer one is free of cancellation.
    x, y = torch.where(apart >= 0, gap + apart, 2 * ab), torch.where(apart >= 0, 2 * ab, gap - apart)
    length = (x.square() + y.square()).sqrt().clamp(min=_TINY)
    x, y = (x / length).unsqueeze(1), (y / length).unsqueeze(1)
    sign = torch.where((x * a + y * b).pow(3).sum(1, keepdim=True) < 0, -1.0, 1.0)
    x, y = x * sign, y * sign

    aligned = torch.stack(
        [
            x * a + y * b,
            x * b - y * a,
            a_up,
            x * p + y * q,
            x * q - y * p,
            rate_up,
            (a.square() + b.square()).sqrt(),
            (p.square() + q.square()).sqrt(),
        ],
        dim=2,
    )
    turned = channel_mask[:, 3:].all(1)
    by_heading, by_vertical = heading & turned, vertical & turned
    return aligned, torch.stack(
        [heading, heading, vertical, by_heading, by_heading, by_vertical, vertical, by_vertical], dim=1
    )


def _along(vectors: Tensor, axis: Tensor) -> Tensor:
    """Project (B, T, 3) on (B, 3), giving (B, T)."""
    return (vectors * axis.unsqueeze(1)).sum(2)


def horizontal_basis(up: Tensor) -> tuple[Tensor, Tensor]:
    """Two unit vectors that form a right-handed frame with ``up`` (B, 3), without a special case (Duff et al. 2017)."""
    x, y, z = up.unbind(1)
    sign = torch.where(z < 0, -1.0, 1.0)
    scale = -1 / (sign + z)
    mixed = x * y * scale
    first = torch.stack([1 + sign * x.square() * scale, sign * mixed, -sign * x], dim=1)
    return first, torch.stack([mixed, sign + y.square() * scale, -y], dim=1)


class OrientedEncoder(ImuEncoder):
    """An encoder that is given aligned channels.

    Args:
        encoder: built for as many channels.
        aligned: makes them.
    """

    def __init__(self, encoder: ImuEncoder, aligned: GravityAligned) -> None:
        super().__init__()
        self.encoder = encoder
        self.aligned = aligned
        self.token_width, self.pooled_width = encoder.token_width, encoder.pooled_width
        # An aligned channel depends on all axes of its sensor: no part of a token is about some channels only.
        self.token_groups = 1

    def forward(self, imu: Tensor, channel_mask: Tensor, sample_mask: Tensor) -> ImuFeatures:
        """Encode a batch, see ``ImuEncoder``."""
        imu, channel_mask = self.aligned(imu, channel_mask, sample_mask)
        return self.encoder(imu, channel_mask, sample_mask)  # type: ignore[no-any-return]


def build_oriented(create: Callable[..., ImuEncoder], params: Any, imu_input: ImuInput) -> ImuEncoder:
    """Build an encoder, and give it aligned channels if its settings ask for them.

    With ``raw``, and for an encoder without the setting, it is the encoder itself, with the names of its weights.

    Args:
        create: makes it from ``params`` and the shape of its input.
        params: its settings.
        imu_input: shape of the windows, six channels.

    Raises:
        SettingError: ``params.orientation`` is none of ``ORIENTATIONS``.
        ValueError: the windows have other channels.
    """
    if not isinstance(params, OrientationParams) or params.orientation == RAW:
        return create(params, imu_input)
    check_settings(params, "imu_encoder.params")
    if imu_input.channels != 6:
        raise ValueError(
            f"imu_encoder.params.orientation '{params.orientation}': expected windows of 6 channels, found"
            f" {imu_input.channels}"
        )
    aligned = GravityAligned(params.orientation == RAW_AND_GRAVITY)
    channels = len(ALIGNED_CHANNELS) + (imu_input.channels if aligned.raw else 0)
    return OrientedEncoder(create(params, replace(imu_input, channels=channels)), aligned)
