"""Which pairs of a batch must not count as negatives.

Shape legend: n windows of this process, N windows of all.
"""

from __future__ import annotations

from torch import Tensor

from lightning_modules.losses.all_gather import all_gather_rows


def neighbour_mask(recordings: Tensor, times: Tensor, min_distance_s: float) -> Tensor:
    """Pairs of windows of one recording that lie close in time: they show much the same.

    Args:
        recordings: (n,) integers, equal for windows of one recording.
        times: (n,) seconds on the recording's clock, where the window starts.
        min_distance_s: windows of one recording at less than this are neighbours; 0 masks nothing.

    Returns:
        (n, N) bool for the losses' ``negative_mask``: rows of this process against those of all. A window is
        its own neighbour here; the losses count the pair of a window with itself all the same.
    """
    all_recordings, all_times = all_gather_rows(recordings), all_gather_rows(times)
    same = recordings[:, None] == all_recordings[None, :]
    close = (times[:, None] - all_times[None, :]).abs() < min_distance_s
    return same & close
