"""Are frames missing? Told from a video's time stamps alone.

Shape legend: N frames.
"""

from __future__ import annotations

import numpy as np

from datamodules.recording import FloatArray

# Of the median distance: a camera that takes a frame every second misses none.
_SLOW = 2.5


def frame_interval(frame_times: FloatArray) -> float:
    """Median distance of neighbouring frames (N,), seconds; 0 for fewer than two."""
    return float(np.median(np.diff(frame_times))) if frame_times.size > 1 else 0.0


def frame_holes(frame_times: FloatArray, interval: float, max_gap_s: float) -> FloatArray:
    """Stretches in which a video shows nothing new.

    Args:
        frame_times: (N,) seconds, strictly increasing.
        interval: ``frame_interval`` of the whole video, seconds.
        max_gap_s: longer distances of neighbouring frames are holes, if they are also longer than 2.5 intervals.

    Returns:
        (K, 2) the times of the frames before and after each hole.
    """
    (before,) = np.nonzero(np.diff(frame_times) > max(max_gap_s, _SLOW * interval) + 1e-9)
    return np.stack([frame_times[before], frame_times[before + 1]], axis=1)


def missing_frames(frame_times: FloatArray, interval: float, start: float, end: float, max_gap_s: float) -> str:
    """The longest hole of the video that lies inside a window for more than ``max_gap_s``, in words; "" for none.

    Before its first frame and after its last there is no video, so none is missing.

    Args:
        frame_times: (N,) seconds, of the whole video.
        interval: ``frame_interval`` of the whole video, seconds.
        start: of the window, seconds.
        end: of the window.
        max_gap_s: see ``frame_holes``.
    """
    first, last = np.searchsorted(frame_times, [start, end])
    holes = frame_holes(frame_times[max(0, int(first) - 1) : int(last) + 1], interval, max_gap_s)
    inside = np.minimum(holes[:, 1], end) - np.maximum(holes[:, 0], start)
    if not (inside > max_gap_s + 1e-9).any():
        return ""
    worst = int(np.argmax(inside))
    return f"the video has no frame for {holes[worst, 1] - holes[worst, 0]:.2f} s from {holes[worst, 0]:.2f} s on"
