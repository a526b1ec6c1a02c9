"""The windows that pretraining takes, and those of them that are held out for validation.

Shape legend: N windows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.labels.label_column import among, numbered
from datamodules.shards.mixed import MixedShards
from datamodules.shards.reader import ShardSet


def stream_seed(*key: int) -> int:
    """Derive a well-mixed seed of 63 bits from integers."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1))


def held_out_windows(table: Mapping[str, Any], activities: Sequence[str], duration_s: float) -> NDArray[np.bool_]:
    """Find the windows, (N,) bool, that may show a held-out activity.

    A window next to a labelled one often shows part of the activity, under another label or none. Therefore every
    window that overlaps or touches a labelled one in the same recording is held out too.

    Args:
        table: ``activity``, ``recording`` and ``start_s`` of each window, (N,) each.
        activities: labels to hold out.
        duration_s: length of a window, seconds.
    """
    labelled = among(table["activity"], activities)
    if not labelled.any():
        return labelled
    start = np.asarray(table["start_s"], np.float64)
    recording = numbered(table["recording"])[1]
    # Put all recordings on one time axis, too far apart to touch.
    at = start - start.min() + recording * (np.ptp(start) + 3 * duration_s)
    known = np.sort(at[labelled])
    after = np.searchsorted(known, at)
    before, behind = np.maximum(after - 1, 0), np.minimum(after, len(known) - 1)
    distance = np.minimum(np.abs(at - known[before]), np.abs(at - known[behind]))
    return np.asarray(distance <= duration_s + 1e-6)


def usable_windows(shards: ShardSet | MixedShards, video: bool = True) -> NDArray[np.int64]:
    """Return the windows with at least two frames; the IMU of the others has no clip to be paired with.

    Windows of sets without any video are all usable where other sets have video, and all are without ``video``.
    Damaged windows that are left out are never usable.
    """
    windows = with_frames(shards) if video else np.arange(shards.n_windows)
    return windows if shards.damaged is None else windows[~shards.damaged[windows]]


def with_frames(shards: ShardSet | MixedShards) -> NDArray[np.int64]:
    """Return the windows with at least two frames, and those of sets without any video beside sets with video."""
    windows = np.arange(shards.n_windows)
    frames = [shards.frame_times(part)[1].sum(axis=1) for part in np.array_split(windows, max(1, len(windows) // 4096))]
    if not frames:
        return windows
    usable = np.concatenate(frames) >= 2
    return windows[usable | ~shards.paired if isinstance(shards, MixedShards) else usable]


def split_sets(
    shards: ShardSet | MixedShards, windows: NDArray[np.int64], share: float, seed: int, max_validation_windows: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split the recordings of each set by :func:`split_recordings`; one that is in two sets is on one side only."""
    recordings = shards.codes("recording")
    if not isinstance(shards, MixedShards):
        return split_recordings(recordings, windows, share, seed, max_validation_windows)
    most = max(1, max_validation_windows // len(shards.parts))
    sides: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    held_out, known = np.empty(0, np.int64), np.empty(0, np.int64)
    for number in range(len(shards.parts)):
        mine = windows[shards.part_of[windows] == number]
        new = mine[~np.isin(recordings[mine], known)]
        held_out = np.union1d(held_out, recordings[split_recordings(recordings, new, share, seed, len(new))[1]])
        known = np.union1d(known, recordings[mine])
        is_held_out = np.isin(recordings[mine], held_out)
        sides.append((mine[~is_held_out], thinned(mine[is_held_out], most)))
    training, validation = (np.concatenate(side) for side in zip(*sides, strict=True))
    return training, validation


def split_recordings(
    recordings: NDArray[Any], windows: NDArray[np.int64], share: float, seed: int, max_validation_windows: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split windows into training and validation; no recording is on both sides.

    Args:
        recordings: name or number of each window's recording, (N,).
        windows: the windows to split.
        share: share of the recordings for validation; above 0, it takes at least one of several recordings.
        seed: seed of the draw.
        max_validation_windows: most validation windows; more are thinned out evenly.
    """
    names = np.unique(recordings[windows])
    count = round(share * len(names))
    if share > 0 and len(names) > 1:
        count = max(count, 1)
    held_out = np.random.default_rng([seed, 0xA11]).permutation(names)[:count]
    is_held_out = np.isin(recordings[windows], held_out)
    return windows[~is_held_out], thinned(windows[is_held_out], max_validation_windows)


def thinned(windows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return at most so many windows, evenly chosen."""
    if len(windows) <= most:
        return windows
    return windows[np.linspace(0, len(windows) - 1, most).round().astype(np.int64)]
