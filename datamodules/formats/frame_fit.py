"""Frames brought into the shape that is asked for."""

from __future__ import annotations

import numpy as np

from datamodules.recording import FrameArray

FITS = ("crop", "pad", "squash")


def fitted(frame: FrameArray, height: int, width: int, fit: str) -> FrameArray:
    """One frame, exactly (height, width, 3).

    Args:
        frame: (H, W, 3).
        height: wanted.
        width: wanted.
        fit: one of ``FITS``: ``crop`` scales and cuts off both sides, ``pad`` scales and adds black, ``squash``
            changes the proportions.
    """
    return centre(_scaled(frame, *scaled_size(frame.shape[:2], height, width, fit)), height, width)


def scaled_size(size: tuple[int, ...], height: int, width: int, fit: str) -> tuple[int, int]:
    """Height and width that a frame is scaled to, before both sides are cut or padded (:func:`centre`)."""
    if fit == "squash":
        return height, width
    scales = (height / size[0], width / size[1])
    scale = max(scales) if fit == "crop" else min(scales)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def centre(frame: FrameArray, height: int, width: int) -> FrameArray:
    """Cut or pad both sides equally, to exactly this size."""
    h, w = frame.shape[:2]
    top, left = max(0, (h - height) // 2), max(0, (w - width) // 2)
    cut = frame[top : top + height, left : left + width]
    h, w = cut.shape[:2]
    if (h, w) == (height, width):
        return cut
    result = np.zeros((height, width, 3), np.uint8)
    top, left = (height - h) // 2, (width - w) // 2
    result[top : top + h, left : left + w] = cut
    return result


def _scaled(frame: FrameArray, height: int, width: int) -> FrameArray:
    if frame.shape[:2] == (height, width):
        return frame
    import torch  # here, so that sources without video do without

    planes = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None]
    scaled = torch.nn.functional.interpolate(planes, (height, width), mode="bilinear", antialias=True)
    result: FrameArray = scaled[0].permute(1, 2, 0).contiguous().numpy()
    return result
