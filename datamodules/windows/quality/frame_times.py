"""Missing frames, found from a video's time stamps alone.

Shape legend: N frames.
"""

from __future__ import annotations

import numpy as np

from datamodules.recording import FloatArray

# A hole is longer than this many median intervals: a camera at one frame a second has no holes.
_HOLE_INTERVALS = 2.5


def frame_interval(frame_times: FloatArray) -> float:
    """Return the median distance of neighbouring frames (N,), seconds; 0 for fewer than two frames."""
    return float(np.median(np.diff(frame_times))) if frame_times.size > 1 else 0.0


def frame_holes(frame_times: FloatArray, interval: float, max_gap_s: float) -> FloatArray:
    """Find the holes of a video: distances of neighbouring frames above ``max_gap_s`` and above 2.5 intervals.

    Args:
        frame_times: (N,) seconds, strictly increasing.
        interval: ``frame_interval`` of the whole video, seconds.
        max_gap_s: longest distance of neighbouring frames that is no hole, seconds.

    Returns:
        (K, 2) times of the frames before and after each hole.
    """
    (before,) = np.nonzero(np.diff(frame_times) > max(max_gap_s, _HOLE_INTERVALS * interval) + 1e-9)
    return np.stack([frame_times[before], frame_times[before + 1]], axis=1)


def missing_frames(frame_times: FloatArray, interval: float, start: float, end: float, max_gap_s: float) -> str:
    """Describe the hole with the longest part inside a window, if that part is longer than ``max_gap_s``; "" if not.

    The time before the first frame and after the last is no hole.

    Args:
        frame_times: (N,) times of the whole video's frames, seconds.
        interval: ``frame_interval`` of the whole video, seconds.
        start: start of the window, seconds.
        end: end of the window, seconds.
        max_gap_s: see ``frame_holes``.
    """
    first, last = np.searchsorted(frame_times, [start, end])
    holes = frame_holes(frame_times[max(0, int(first) - 1) : int(last) + 1], interval, max_gap_s)
    inside = np.minimum(holes[:, 1], end) - np.maximum(holes[:, 0], start)
    if not (inside > max_gap_s + 1e-9).any():
        return ""
    worst = int(np.argmax(inside))
    return f"the video has no frame for {holes[worst, 1] - holes[worst, 0]:.2f} s from {holes[worst, 0]:.2f} s on"
