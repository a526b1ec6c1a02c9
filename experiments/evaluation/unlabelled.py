"""Unlabelled windows of the tested subjects, which adaptations may look at.

``all`` are all windows that are tested. People who are recorded for a study all do the same activities, so that their
windows are a better sample than a day of wearing would give. ``other`` therefore is a control: of each tested subject,
a random half of the activities, each in a random share. What is tested stays the same, so that half of the activities
are tested without a window among these. Labels choose the windows of the control; methods never get them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from datamodules.labels.label_column import distinct
from datamodules.labels.natural_order import natural_key
from experiments.evaluation.splits import Fold, Table, generator

ALL = "all"
OTHER = "other"
LEAST_SHARE = 0.25  # of an activity's windows in the control; the most is 1


def unlabelled_windows(table: Table, fold: Fold, which: str, key: Sequence[int | str]) -> NDArray[np.int64]:
    """List the windows whose motion may be looked at without labels, ascending.

    Args:
        table: columns of the target's windows.
        fold: whose pool is taken whole.
        which: "all" or "other", see the module's docstring; "" for none, of pool and tested windows alike.
        key: names of the draw; the control differs from draw to draw.
    """
    if not which:
        return np.empty(0, np.int64)
    tested = fold.test if which == ALL else _other(table, fold.test, key)
    return np.union1d(fold.pool, tested)


def _other(table: Table, tested: NDArray[np.int64], key: Sequence[int | str]) -> NDArray[np.int64]:
    subjects, activities = table["subject"][tested], table["activity"][tested]
    kept = []
    for subject in sorted(distinct(subjects), key=natural_key):
        own = tested[subjects == subject]
        shown = activities[subjects == subject]
        rng = generator([*key, subject, "other activities"])
        names = sorted(distinct(shown), key=natural_key)
        for at in np.sort(rng.permutation(len(names))[: -(-len(names) // 2)]).tolist():
            windows = own[shown == names[at]]
            count = max(1, round(float(rng.uniform(LEAST_SHARE, 1)) * len(windows)))
            kept.append(rng.permutation(windows)[:count])
    return np.sort(np.concatenate(kept))
