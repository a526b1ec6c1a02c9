"""Wearers of the sensors: who wore the one of each window."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datamodules.labels.label_column import numbered
from experiments.evaluation.held_out_labels import UnlabelledShards


def wearers(shards: UnlabelledShards) -> NDArray[np.int64]:
    """Number the wearer of each window, from 0, (N,); someone who wore a sensor in two data sets has two numbers."""
    sets, persons = (numbered(shards.table[name])[1].astype(np.int64) for name in ("dataset", "person"))
    numbers = np.unique(sets * (int(persons.max()) + 1) + persons, return_inverse=True)[1]
    return np.asarray(numbers.reshape(-1), np.int64)
