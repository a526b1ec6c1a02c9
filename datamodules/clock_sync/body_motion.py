"""How much moves in the picture besides the camera: what a camera that looks at a person has to tell.

Shape legend: B pairs of frames, S side of the image.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from datamodules.recording import FloatArray

GreyImages = NDArray[np.float32]

_STILL = 0.05  # pixels; a camera that moved less is taken as fixed, and nothing is resampled
_BORDER = 4  # pixels that are left out: what came into view was not there before
_FLAT = 2.0  # grey values squared; gradients below are the camera's noise


def residual_speed(before: GreyImages, after: GreyImages, motion: FloatArray) -> FloatArray:
    """Root mean square of what moved in the picture after the camera's own motion is taken out.

    The change of grey values divided by their gradient is a speed, whatever the contrast (Horn and Schunck 1981).

    Args:
        before: (B, S, S) grey.
        after: (B, S, S) grey.
        motion: (B, 4) of ``picture_flow.fit_motion``; NaN counts as no motion.

    Returns:
        (B,) pixels a frame; 0 for a blank picture.
    """
    speed = np.empty(len(before))
    for k, (one, two) in enumerate(zip(before, after, strict=True)):
        still = _moved(one, np.nan_to_num(motion[k]))
        change = (two - still)[_BORDER:-_BORDER, _BORDER:-_BORDER]
        rows, columns = np.gradient((0.5 * (two + still))[_BORDER:-_BORDER, _BORDER:-_BORDER])
        speed[k] = np.sqrt(np.mean(change**2) / (np.mean(rows**2 + columns**2) + _FLAT))
    return speed


def _moved(image: GreyImages, motion: FloatArray) -> GreyImages:
    """The image as it would look after the camera's motion."""
    down, right, turn, growth = motion
    half = image.shape[0] / 2
    if max(abs(down), abs(right), half * abs(turn), half * abs(growth)) < _STILL:
        return image
    middle = (image.shape[0] - 1) / 2
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float64) - middle
    # The inverse of the motion to first order, which is plenty between neighbouring frames.
    came_from = [
        rows - (down - turn * columns + growth * rows) + middle,
        columns - (right + turn * rows + growth * columns) + middle,
    ]
    return np.asarray(map_coordinates(image, came_from, order=1, mode="nearest"), dtype=np.float32)
