"""Checks of pairs in a batch, and masks of pairs that must not count as negatives.

Shape legend: n windows of this process, N windows of all.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_modules.losses.all_gather import all_gather_rows, rank, world_size

NEGATIVES = ("all", "own_set")  # of several data sets: whose windows are told from a window


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


def other_sets_mask(sets: Tensor) -> Tensor:
    """Mark pairs of windows of different data sets, which a sensor or a room tells apart without any motion.

    Args:
        sets: (n,) integers, equal for windows of one set.

    Returns:
        (n, N) bool for the losses' ``negative_mask``.
    """
    return sets[:, None] != all_gather_rows(sets)[None, :]


def check_pairs(imu: Tensor, video: Tensor, negative_mask: Tensor | None) -> None:
    """Check the shapes of a loss's inputs: ``imu`` and ``video`` (n, E), ``negative_mask`` (n, N) or None.

    Raises:
        ValueError: shapes don't match.
    """
    if imu.shape != video.shape or imu.ndim != 2:
        raise ValueError(f"imu and video must both be (n, E), found {tuple(imu.shape)}, {tuple(video.shape)}")
    pairs = (len(imu), len(imu) * world_size())
    if negative_mask is not None and negative_mask.shape != pairs:
        raise ValueError(f"negative_mask must be {pairs}, found {tuple(negative_mask.shape)}")


def own_columns(rows: int, device: torch.device) -> Tensor:
    """Return the columns of this process's windows among the windows of all processes, (n,)."""
    return torch.arange(rows, device=device) + rank() * rows


def keep_true_pairs(negative_mask: Tensor) -> Tensor:
    """Return a copy of a ``negative_mask`` (n, N) that never leaves out the true pairs."""
    own = torch.arange(len(negative_mask), device=negative_mask.device)
    left_out = negative_mask.clone()
    left_out[own, own_columns(len(negative_mask), negative_mask.device)] = False
    return left_out
