"""Masks of pairs in a batch that must not count as negatives.

Shape legend: n windows of this process, N windows of all.
"""

from __future__ import annotations

from torch import Tensor

from lightning_modules.losses.all_gather import all_gather_rows


def neighbour_mask(recordings: Tensor, times: Tensor, min_distance_s: float) -> Tensor:
    """Mark pairs of windows of one recording that are close in time, and so show nearly the same.

    Args:
        recordings: (n,) integers, equal for windows of one recording.
        times: (n,) starts of the windows, seconds on the recording's clock.
        min_distance_s: windows of one recording at a smaller distance are neighbours; 0 masks nothing.

    Returns:
        (n, N) bool for the losses' ``negative_mask``: windows of this process against windows of all. A window is its
        own neighbour here; the losses still count the pair of a window with itself.
    """
    all_recordings, all_times = all_gather_rows(recordings), all_gather_rows(times)
    same = recordings[:, None] == all_recordings[None, :]
    close = (times[:, None] - all_times[None, :]).abs() < min_distance_s
    return same & close
