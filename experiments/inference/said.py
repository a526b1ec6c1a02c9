"""Notes on a recording, for readers of its predictions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.evaluation.timeline import Scores
from experiments.inference.recordings import Recorded

_MOST = 5  # notes of one recording about how its files were read


def said_of(recorded: Recorded, scores: Scores, not_worn: NDArray[np.float64]) -> list[str]:
    """Notes on one recording that has been scored.

    Args:
        recorded: the recording.
        scores: of its windows.
        not_worn: (K, 2) stretches that count as not worn, seconds.
    """
    read = [f"{recorded.name}: {note}" for note in recorded.notes]
    if len(read) > _MOST:
        read = [
            *read[:_MOST],
            f"{recorded.name}: {len(read) - _MOST} more notes of this kind; check_import has them all",
        ]
    dead = [f"{recorded.name}: {axis}; its windows are gaps. Is it the right column?" for axis in scores.dead]
    seconds = float((not_worn[:, 1] - not_worn[:, 0]).sum())
    off = f"{recorded.name}: not worn for {seconds / 3600:.2g} h, as it did not move; --worn predicts these, too."
    return [*read, *dead, *([off] if len(not_worn) else [])]


def elsewhere(recorded: Recorded, placements: Sequence[str]) -> list[str]:
    """Note that a sensor is at another place than the head's study had it; empty where either is not known.

    Args:
        recorded: the recording.
        placements: of the head's study.
    """
    if not recorded.placement or not placements or recorded.placement in placements:
        return []
    there = ", ".join(f"'{place}'" for place in placements)
    return [
        f"{recorded.name}: the sensor is at '{recorded.placement}', the study of the head had it at {there}: expect"
        " more errors."
    ]
