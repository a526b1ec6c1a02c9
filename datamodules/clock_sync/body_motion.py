"""Motion in the picture besides the camera's own, for a camera that films a person.

Shape legend: B pairs of frames, S side of the image.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from datamodules.recording import FloatArray

GreyImages = NDArray[np.float32]

_STILL = 0.05  # pixels; below this the camera counts as fixed, and the image is not resampled
_BORDER = 4  # pixels left out at the border, where new content comes into view
_FLAT = 2.0  # grey values squared; smaller gradients are the camera's noise


def residual_speed(before: GreyImages, after: GreyImages, motion: FloatArray) -> FloatArray:
    """Compute the root mean square speed in the picture after removing the camera's own motion.

    The change of grey values divided by their gradient is a speed, for any contrast (Horn and Schunck 1981).

    Args:
        before: (B, S, S) grey.
        after: (B, S, S) grey.
        motion: (B, 4) from ``picture_flow.fit_motion``; NaN counts as no motion.

    Returns:
        (B,) pixels per frame; 0 for a blank picture.
    """
    speed = np.empty(len(before))
    for k, (one, two) in enumerate(zip(before, after, strict=True)):
        predicted = _apply_camera_motion(one, np.nan_to_num(motion[k]))
        change = (two - predicted)[_BORDER:-_BORDER, _BORDER:-_BORDER]
        rows, columns = np.gradient((0.5 * (two + predicted))[_BORDER:-_BORDER, _BORDER:-_BORDER])
        speed[k] = np.sqrt(np.mean(change**2) / (np.mean(rows**2 + columns**2) + _FLAT))
    return speed


def _apply_camera_motion(image: GreyImages, motion: FloatArray) -> GreyImages:
    """Warp an image by the camera's motion."""
    down, right, turn, growth = motion
    half = image.shape[0] / 2
    if max(abs(down), abs(right), half * abs(turn), half * abs(growth)) < _STILL:
        return image
    middle = (image.shape[0] - 1) / 2
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float64) - middle
    # Inverse of the motion to first order, which is accurate enough between neighbouring frames.
    came_from = [
        rows - (down - turn * columns + growth * rows) + middle,
        columns - (right + turn * rows + growth * columns) + middle,
    ]
    return np.asarray(map_coordinates(image, came_from, order=1, mode="nearest"), dtype=np.float32)
