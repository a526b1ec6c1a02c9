"""Controls for what pretraining takes from video: each window keeps its motion and gets another window's pictures.

What is lost tells what was used. Pictures of the same activity keep what the activity looks like, but not this
movement at this moment. Those of the same subject keep person and room. Those of any window keep nothing.

Shape legend: N windows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datamodules.pretraining.split import stream_seed
from datamodules.shards.mixed import MixedShards
from datamodules.shards.reader import ShardSet

UNSHUFFLED = "none"
SHUFFLES = (UNSHUFFLED, "activity", "subject", "all")
_STREAM = 0x51DE0


def shuffled_pictures(
    shards: ShardSet | MixedShards, windows: NDArray[np.int64], within: str, seed: int
) -> NDArray[np.int64] | None:
    """Choose the window whose pictures each window gets, (N,); None where each keeps its own.

    The windows of a group stand in random order, and each gets the pictures of the next one. So every picture is used
    once, and no window keeps its own unless it is alone in its group. Sets are never mixed.

    Args:
        shards: of the windows.
        windows: windows that are shuffled; all others keep their pictures.
        within: "none", or the groups: windows of one "activity" (those without a label are one), of one "subject", or
            "all".
        seed: seed of the run.

    Raises:
        ValueError: ``within`` is unknown.
    """
    if within not in SHUFFLES:
        raise ValueError(f"pretraining.shuffle_video is '{within}'; expected one of {', '.join(SHUFFLES)}")
    if within == UNSHUFFLED:
        return None
    pictures = np.arange(shards.n_windows)
    of_set = shards.part_of[windows] if isinstance(shards, MixedShards) else np.zeros(len(windows), np.int64)
    of_group = np.zeros(len(windows), np.int64) if within == "all" else shards.codes(within)[windows].astype(np.int64)
    rng = np.random.default_rng(stream_seed(seed, _STREAM))
    for part, group in np.unique(np.stack([of_set, of_group], axis=1), axis=0).tolist():
        order = rng.permutation(windows[(of_set == part) & (of_group == group)])
        pictures[order] = np.roll(order, -1)
    return pictures
