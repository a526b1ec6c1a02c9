"""Is the video of a window black, or does it stand still? Told from the frames that the window stores.

Frames are looked at as mean grey of blocks of about 8 x 8 pixels, which a JPEG gives away for next to nothing. A
frame with one lit corner is no black frame, and a person who moves in a corner of an empty room is no still picture;
so the depth videos of a person in front of nothing pass both rules.

Shape legend: F frames a window, B blocks of a frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from datamodules.windows.settings import Reason, WindowSettings

BLOCK = 8  # pixels
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # a JPEG's grey
_FEWEST = 3  # frames that tell a picture that stands still from one that happens to look the same


def blocks_of(stored: bytes, settings: WindowSettings) -> NDArray[np.float32]:
    """Mean grey of a stored frame's blocks, (B,), 0 to 255.

    Args:
        stored: a JPEG, or plain RGB pixels where ``settings.jpeg_quality`` is 0.
        settings: of the shards.
    """
    size = settings.frame_size
    if settings.jpeg_quality:
        small = simplejpeg.decode_jpeg(stored, "GRAY", min_factor=BLOCK, min_height=1, min_width=1)
        return np.asarray(small, np.float32).reshape(-1)
    grey = np.frombuffer(stored, np.uint8).reshape(size, size, 3) @ _LUMA
    edges = np.arange(0, size, BLOCK)
    sums = np.add.reduceat(np.add.reduceat(grey, edges, axis=0), edges, axis=1)
    lengths = np.diff(np.append(edges, size))
    return np.asarray(sums / np.outer(lengths, lengths), np.float32).reshape(-1)


def picture_faults(
    blocks: Sequence[NDArray[np.float32]], times: NDArray[np.float32], settings: WindowSettings
) -> dict[Reason, str]:
    """What is wrong with the frames of one window.

    Args:
        blocks: ``blocks_of`` of every frame that is there, in order; none of them may be empty.
        times: when they were taken, as many, seconds; a slow camera's frame may be there several times.
        settings: the thresholds.

    Returns:
        The faults found, each with a description for people. Fewer than three frames never stand still.
    """
    faults: dict[Reason, str] = {}
    if not len(blocks):
        return faults
    shown = np.stack(blocks)
    brightest = float(shown.max())
    if brightest <= settings.black_level:
        faults[Reason.BLACK_VIDEO] = f"the brightest part of any of its frames has {brightest:.0f} of 255"
        return faults
    taken = np.append(True, np.diff(times) > 0)
    shown, times = shown[taken], times[taken]
    if len(shown) >= _FEWEST:
        changed = np.abs(np.diff(shown, axis=0)).max(axis=1) > settings.frozen_level
        still = _longest_stretch(changed, times)
        if still >= settings.frozen_share * float(times[-1] - times[0]) - 1e-6:
            faults[Reason.FROZEN_VIDEO] = f"the picture does not change for {still:.2f} s"
    return faults


def _longest_stretch(changed: NDArray[np.bool_], times: NDArray[np.float32]) -> float:
    """Seconds from the first to the last of the frames, at least three, among which none changed."""
    longest, first = 0.0, 0
    for i, change in enumerate([*changed.tolist(), True]):
        if change:
            if i - first + 1 >= _FEWEST:
                longest = max(longest, float(times[i] - times[first]))
            first = i + 1
    return longest
