"""Turning of pictures for display, as ffmpeg does it.

Phones store pictures as the sensor lies, and a matrix that says how they are to be shown.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Matrix = tuple[int, ...]
"""Nine fixed-point numbers of a container's display matrix, row by row; the first two columns turn the picture."""


def quarter_turns(matrix: Matrix) -> int | None:
    """How many times a picture is turned clockwise by 90 degrees.

    Returns:
        None if the matrix does something else: mirrors, or turns by another angle.
    """
    turning = matrix[0], matrix[1], matrix[3], matrix[4]
    signs = [(value > 0) - (value < 0) for value in turning]
    turns = [[1, 0, 0, 1], [0, 1, -1, 0], [-1, 0, 0, -1], [0, -1, 1, 0]]
    plain = len({abs(value) for value in turning if value}) == 1 and signs in turns
    return turns.index(signs) if plain else None


def swaps_sides(matrix: Matrix | None) -> bool:
    """Tell whether the picture's height becomes its width."""
    return matrix is not None and abs(abs(_degrees(matrix) - 180) - 90) < 1


def turned(picture: NDArray[np.uint8], matrix: Matrix | None) -> NDArray[np.uint8]:
    """A picture (H, W, 3) as it is to be shown.

    Raises:
        ValueError: it is to be turned by an angle other than 90, 180 or 270 degrees.
    """
    if matrix is None:
        return picture
    degrees = _degrees(matrix)
    if abs(degrees - 180) < 1:
        picture = picture[:, ::-1] if matrix[0] < 0 else picture
        return picture[::-1] if matrix[4] < 0 else picture
    if swaps_sides(matrix):
        picture = np.swapaxes(picture, 0, 1)
        if degrees < 180:
            return picture if matrix[3] > 0 else picture[:, ::-1]
        return picture[::-1, ::-1] if matrix[3] < 0 else picture[::-1]
    if 1 <= degrees <= 359:
        raise ValueError(f"its pictures are to be turned by {degrees:.0f} degrees; expected 0, 90, 180 or 270")
    return picture[::-1] if matrix[4] < 0 else picture


def _degrees(matrix: Matrix) -> float:
    """Clockwise turn in degrees, at least 0 and below 360; 0 for a matrix of nothing but zeros."""
    columns = [math.hypot(matrix[0], matrix[3]), math.hypot(matrix[1], matrix[4])]
    if 0 in columns:
        return 0.0
    angle = math.degrees(math.atan2(matrix[1] / columns[1], matrix[0] / columns[0]))
    return round(angle) % 360
