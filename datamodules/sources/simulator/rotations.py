"""Rotation matrices, and derivatives of sampled positions and rotations.

World axes: z up. Body axes of a person who stands facing along x: x forward, y left, z up.

Shape legend: N samples.
"""

from __future__ import annotations

import numpy as np

from datamodules.recording import FloatArray


def rot_x(angle: FloatArray) -> FloatArray:
    """Return right-handed rotations about x, (N,) radians -> (N, 3, 3)."""
    return _about(angle, 1, 2)


def rot_y(angle: FloatArray) -> FloatArray:
    """Return right-handed rotations about y, (N,) radians -> (N, 3, 3)."""
    return _about(angle, 2, 0)


def rot_z(angle: FloatArray) -> FloatArray:
    """Return right-handed rotations about z, (N,) radians -> (N, 3, 3)."""
    return _about(angle, 0, 1)


def _about(angle: FloatArray, i: int, j: int) -> FloatArray:
    """Return rotations in the plane of axes ``i`` and ``j``, from ``i`` towards ``j``."""
    angle = np.atleast_1d(np.asarray(angle, dtype=np.float64))
    matrix = np.zeros((*angle.shape, 3, 3))
    cosine, sine = np.cos(angle), np.sin(angle)
    k = 3 - i - j
    matrix[..., k, k] = 1.0
    matrix[..., i, i] = cosine
    matrix[..., j, j] = cosine
    matrix[..., j, i] = sine
    matrix[..., i, j] = -sine
    return matrix


def from_rotation_vector(vector: FloatArray) -> FloatArray:
    """Convert axis times angle in radians, (3,) -> (3, 3), by Rodrigues' formula."""
    vector = np.asarray(vector, dtype=np.float64)
    angle = float(np.linalg.norm(vector))
    if angle == 0.0:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross)


def rotate(rotation: FloatArray, vector: FloatArray) -> FloatArray:
    """Apply rotations (N, 3, 3) to one vector (3,) or to vectors (N, 3) -> (N, 3)."""
    if vector.ndim == 1:
        return np.asarray(rotation @ vector)
    return np.asarray((rotation @ vector[..., None])[..., 0])


def first_difference(values: FloatArray, rate_hz: float) -> FloatArray:
    """Compute the first derivative at the inner samples, (N, ...) -> (N - 4, ...), to fourth order in the period."""
    return np.asarray((values[:-4] - 8.0 * values[1:-3] + 8.0 * values[3:-1] - values[4:]) * (rate_hz / 12.0))


def second_difference(values: FloatArray, rate_hz: float) -> FloatArray:
    """Compute the second derivative at the inner samples, (N, ...) -> (N - 4, ...), to fourth order in the period."""
    inner = -values[:-4] + 16.0 * values[1:-3] - 30.0 * values[2:-2] + 16.0 * values[3:-1] - values[4:]
    return np.asarray(inner * (rate_hz**2 / 12.0))


def angular_velocity(rotation: FloatArray, rate_hz: float) -> FloatArray:
    """Compute the angular velocity of body-to-world rotations, to fourth order in the period.

    (N, 3, 3) -> (N - 4, 3) rad/s in the body's frame.
    """
    spin = np.swapaxes(rotation[2:-2], -1, -2) @ first_difference(rotation, rate_hz)
    return np.stack(
        (
            0.5 * (spin[..., 2, 1] - spin[..., 1, 2]),
            0.5 * (spin[..., 0, 2] - spin[..., 2, 0]),
            0.5 * (spin[..., 1, 0] - spin[..., 0, 1]),
        ),
        axis=-1,
    )
