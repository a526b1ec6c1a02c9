"""Frames of a window: those nearest to the centres of its equal parts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datamodules.recording import FloatArray
from datamodules.signal import BoolArray
from datamodules.windows.settings import WindowSettings


def nearest_frames(
    frame_times: FloatArray | None, interval: float, start: float, settings: WindowSettings
) -> tuple[NDArray[np.int64], NDArray[np.float32], BoolArray]:
    """Find the frames nearest to the centres of F equal parts of the window.

    Returns:
        Indices of the frames (F,), -1 where masked; their times since ``start`` (F,); the mask (F,).
    """
    if frame_times is None:
        return np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, bool)
    part = settings.duration_s / settings.frames
    requested = start + (np.arange(settings.frames) + 0.5) * part
    after = np.clip(np.searchsorted(frame_times, requested), 1, max(1, frame_times.size - 1))
    before = after - 1
    after = np.minimum(after, frame_times.size - 1)
    nearest = np.where(np.abs(frame_times[before] - requested) <= np.abs(frame_times[after] - requested), before, after)
    true = frame_times[nearest]
    half = interval / 2
    # Mask requests outside the video, and requests whose nearest frame lies in another part of the window.
    mask = (requested >= frame_times[0] - half - 1e-6) & (requested <= frame_times[-1] + half + 1e-6)
    distance = np.abs(true - requested)
    mask &= (distance <= half + 1e-6) | (distance < part / 2 - 1e-6)
    relative = np.where(mask, true, requested) - start
    return np.where(mask, nearest, -1).astype(np.int64), relative.astype(np.float32), mask
