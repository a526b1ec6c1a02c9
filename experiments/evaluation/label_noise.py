"""Wrong labels: a share of the labelled windows gets another activity, to see what hasty labelling costs.

Tested windows keep their labels. The windows of a smaller share are among those of a larger one, with the same wrong
labels, so that along a curve only the share differs.

Shape legend: N labelled windows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.evaluation.splits import generator


def flip_labels(labels: NDArray[np.int64], n_classes: int, share: float, key: Sequence[int | str]) -> NDArray[np.int64]:
    """Give a share of the labels, rounded to whole windows, another class, (N,); each other class is as likely.

    Args:
        labels: positions in the classes, (N,).
        n_classes: number of classes, at least 2.
        share: share of the windows.
        key: names of the draw.
    """
    rng = generator([*key, "label noise"])
    order = rng.permutation(len(labels))
    wrong = (labels + rng.integers(1, n_classes, len(labels))) % n_classes
    found = labels.copy()
    chosen = order[: round(share * len(labels))]
    found[chosen] = wrong[chosen]
    return found
