"""Frames that a decoder gives in their own size, brought into the shape that is asked for."""

from __future__ import annotations

import numpy as np
import torch

from datamodules.formats.video import centre
from datamodules.recording import FrameArray


def fitted(frame: FrameArray, height: int, width: int, fit: str) -> FrameArray:
    """One frame, exactly (height, width, 3).

    Args:
        frame: (H, W, 3).
        height: wanted.
        width: wanted.
        fit: one of ``video_decode.FITS``: ``crop`` scales and cuts off both sides, ``pad`` scales and adds black,
            ``squash`` changes the proportions.
    """
    h, w = frame.shape[:2]
    if fit == "squash":
        return _scaled(frame, height, width)
    scales = (height / h, width / w)
    scale = max(scales) if fit == "crop" else min(scales)
    return centre(_scaled(frame, max(1, round(h * scale)), max(1, round(w * scale))), height, width)


def _scaled(frame: FrameArray, height: int, width: int) -> FrameArray:
    if frame.shape[:2] == (height, width):
        return frame
    planes = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None]
    scaled = torch.nn.functional.interpolate(planes, (height, width), mode="bilinear", antialias=True)
    result: FrameArray = scaled[0].permute(1, 2, 0).contiguous().numpy()
    return result
