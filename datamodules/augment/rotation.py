"""Rotation matrices drawn at random, and the orientation that a gyroscope's rates add up to.

Quaternions are (w, x, y, z) of length 1. Shape legend: N rotations, B batch, T samples.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from datamodules.augment.draws import Draws


def rotation_about(axis: Tensor, angle: Tensor) -> Tensor:
    """Rotations about unit axes (N, 3) by angles (N,), (N, 3, 3), by Rodrigues' formula."""
    x, y, z = axis.unbind(1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).view(len(axis), 3, 3)
    identity = torch.eye(3, device=axis.device)
    return identity + angle.sin()[:, None, None] * cross + (1 - angle.cos())[:, None, None] * (cross @ cross)


def random_rotation(deviation_deg: float, draws: Draws) -> Tensor:
    """Rotations about uniform axes by normally distributed angles, (N, 3, 3)."""
    axis = F.normalize(draws.normal(3), dim=1)
    angle = draws.normal() * math.radians(deviation_deg)
    return rotation_about(axis, angle)


def uniform_rotation(draws: Draws) -> Tensor:
    """Rotations uniform over SO(3), (N, 3, 3): a normal vector in four dimensions has no preferred direction."""
    return matrices(F.normalize(draws.normal(4), dim=1))


def matrices(quaternion: Tensor) -> Tensor:
    """(..., 4) -> (..., 3, 3)."""
    w, x, y, z = quaternion.unbind(-1)
    rows = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    ]
    return torch.stack(rows, dim=-1).view(*w.shape, 3, 3)


def conjugate(quaternion: Tensor) -> Tensor:
    """The inverse rotations, (..., 4)."""
    return torch.cat([quaternion[..., :1], -quaternion[..., 1:]], dim=-1)


def turned(quaternion: Tensor, vector: Tensor) -> Tensor:
    """Vectors (..., 3) turned by quaternions (..., 4)."""
    real, axis = quaternion[..., :1], quaternion[..., 1:]
    twice = 2 * torch.linalg.cross(axis, vector)
    result: Tensor = vector + real * twice + torch.linalg.cross(axis, twice)
    return result


def orientations(rate: Tensor, rate_hz: float) -> Tensor:
    """Where a sensor with these angular rates points, from its own frame into that of its first sample.

    Between two samples it turns by the mean of their rates; the products of all turns up to each sample are formed by
    doubling (Hillis and Steele 1986), in log2(T) steps.

    Args:
        rate: (B, T, 3) rad/s in the sensor's frame.
        rate_hz: samples a second.

    Returns:
        (B, T, 4) quaternions.
    """
    turn = (rate[:, 1:] + rate[:, :-1]) / (2 * rate_hz)
    angle = turn.norm(dim=-1, keepdim=True)
    # sin(angle / 2) / angle, which torch.sinc has at 0 too.
    steps = torch.cat([(angle / 2).cos(), turn * torch.sinc(angle / (2 * math.pi)) / 2], dim=-1)
    first = torch.zeros_like(rate[:, :1, :1]).expand(-1, -1, 4).clone()
    first[..., 0] = 1
    product = torch.cat([first, steps], dim=1)
    reach = 1
    while reach < product.shape[1]:
        product = torch.cat([product[:, :reach], _multiply(product[:, :-reach], product[:, reach:])], dim=1)
        reach *= 2
    return F.normalize(product, dim=-1)


def _multiply(left: Tensor, right: Tensor) -> Tensor:
    """Hamilton's product of quaternions (..., 4): first turned by ``right``, then by ``left``."""
    real, vector = left[..., :1], left[..., 1:]
    other_real, other = right[..., :1], right[..., 1:]
    return torch.cat(
        [
            real * other_real - (vector * other).sum(dim=-1, keepdim=True),
            real * other + other_real * vector + torch.linalg.cross(vector, other),
        ],
        dim=-1,
    )
