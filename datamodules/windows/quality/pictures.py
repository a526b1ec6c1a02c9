"""Black and frozen video, found from the stored frames of a window.

Both rules use the mean grey of blocks of about 8 x 8 pixels, which decoding a JPEG at reduced size gives cheaply. A
frame with one lit corner is not black. A picture is not frozen if a person moves in one corner of an empty room. So
depth videos of a person before an empty background pass both rules.

Shape legend: F frames per window, B blocks of a frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from datamodules.windows.settings import Reason, WindowSettings

BLOCK = 8  # pixels
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # weights of red, green and blue in a JPEG's grey
_MIN_FROZEN_FRAMES = 3  # two equal frames may be chance


def block_means(stored: bytes, settings: WindowSettings) -> NDArray[np.float32]:
    """Compute the mean grey of a stored frame's blocks, (B,), 0 to 255.

    Args:
        stored: a JPEG, or plain RGB pixels if ``settings.jpeg_quality`` is 0.
        settings: settings of the shards.
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
    """Find the faults of one window's frames.

    Args:
        blocks: ``block_means`` of the window's frames, in order; missing frames are left out.
        times: times of these frames, seconds; a slow camera's frame may occur several times.
        settings: thresholds of the rules.

    Returns:
        The faults, each with a description for people. Fewer than three frames are never frozen.
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
    if len(shown) >= _MIN_FROZEN_FRAMES:
        changed = np.abs(np.diff(shown, axis=0)).max(axis=1) > settings.frozen_level
        still = _longest_frozen(changed, times)
        if still >= settings.frozen_share * float(times[-1] - times[0]) - 1e-6:
            faults[Reason.FROZEN_VIDEO] = f"the picture does not change for {still:.2f} s"
    return faults


def _longest_frozen(changed: NDArray[np.bool_], times: NDArray[np.float32]) -> float:
    """Return the longest time, in seconds, in which at least three frames show no change."""
    longest, first = 0.0, 0
    for i, change in enumerate([*changed.tolist(), True]):
        if change:
            if i - first + 1 >= _MIN_FROZEN_FRAMES:
                longest = max(longest, float(times[i] - times[first]))
            first = i + 1
    return longest
