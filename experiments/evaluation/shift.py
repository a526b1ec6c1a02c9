"""Distances of tested windows from those that a method learnt from, in numbers that need no method.

Two measures on handcrafted features, standardised over both sides together:

- *A two-sample classifier*: logistic regression tells windows of the two sides apart. Its AUC on people whom it did
  not see is 0.5 where the sides are alike, and 1 where one look tells them apart. Cross-validation leaves out whole
  people of both sides, so that it does not learn who is who.
- *MMD*: the squared maximum mean discrepancy with a Gaussian kernel whose width is the median distance, unbiased
  (Gretton et al. 2012): 0 on average where the sides are alike, so that it may fall below 0. Pairs of windows of one
  person are left out: such windows are alike, and no two sides share a person.

Shape legend: N windows of one side, M of the other, K features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist, squareform
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from datamodules.labels.label_column import LabelColumn, numbered

Floats = NDArray[np.float64]
MOST_WINDOWS = 600  # of a side; more take long and change little
GROUPS = 5  # groups of people that are left out in turn
CLIP = 6.0  # standard deviations
_C = 0.05  # inverse regularisation: hundreds of features, few hundred windows


@dataclass(frozen=True)
class Side:
    """Windows of one side.

    Attributes:
        features: (N, K).
        people: person of each window, (N,).
    """

    features: Floats
    people: LabelColumn


@dataclass(frozen=True)
class Shift:
    """The distance of two sides.

    Attributes:
        auc: of the two-sample classifier; NaN where a side has a single person.
        mmd2: squared maximum mean discrepancy; NaN where a side has a single person.
        windows: number of windows of each side that were compared.
        people: number of people of each side.
    """

    auc: float
    mmd2: float
    windows: tuple[int, int]
    people: tuple[int, int]


def measure_shift(source: Side, target: Side, seed: int = 0) -> Shift:
    """Compare two sides with at least two windows each."""
    sides = (source, target)
    together = np.concatenate([side.features for side in sides])
    mean, deviation = together.mean(axis=0), together.std(axis=0)
    # What never changes tells nothing; rounding must not become a feature.
    scale = np.where(deviation > 1e-9 * np.maximum(np.abs(mean), 1), deviation, np.inf)
    first, second = (((side.features - mean) / scale).clip(-CLIP, CLIP) for side in sides)
    groups = [_groups(side.people, seed) for side in sides]
    return Shift(
        auc_by_people(first, second, *groups),
        mmd_squared(first, second, *(numbered(side.people)[1] for side in sides)),
        (len(first), len(second)),
        (len(numbered(sides[0].people)[0]), len(numbered(sides[1].people)[0])),
    )


def auc_by_people(first: Floats, second: Floats, groups: NDArray[np.int64], others: NDArray[np.int64]) -> float:
    """Compute the AUC of a logistic regression that tells two sides apart, on people whom it did not see.

    Args:
        first: (N, K) standardised features.
        second: (M, K).
        groups: group of people of each window of the first side, (N,), from 0.
        others: the same of the second side, (M,).

    Returns:
        The mean over the groups that are left out in turn, of both sides at once; NaN if a side has one group only.
    """
    features = np.concatenate([first, second])
    side = np.repeat([0, 1], [len(first), len(second)])
    group = np.concatenate([groups, others])
    many = min(groups.max(), others.max()) + 1
    if many < 2:
        return float("nan")
    found = []
    for left_out in range(many):
        out = group % many == left_out
        model = LogisticRegression(C=_C, class_weight="balanced", max_iter=200).fit(features[~out], side[~out])
        found.append(roc_auc_score(side[out], model.decision_function(features[out])))
    return float(np.mean(found))


def mmd_squared(first: Floats, second: Floats, people: NDArray[np.int64], others: NDArray[np.int64]) -> float:
    """Estimate the squared maximum mean discrepancy without bias, from pairs of different people.

    The kernel is exp(-|x - y|^2 / (2 s^2)), s the median distance of all pairs.

    Args:
        first: (N, K).
        second: (M, K).
        people: number of each window's person on the first side, (N,).
        others: the same on the second side, (M,).

    Returns:
        The estimate; NaN if a side has a single person.
    """
    n = len(first)
    distances = pdist(np.concatenate([first, second]), "sqeuclidean")
    median = float(np.median(distances))
    kernel = squareform(np.exp(-distances / (2 * median)) if median > 0 else (distances == 0).astype(np.float64))
    within = 0.0
    for block, who in ((kernel[:n, :n], people), (kernel[n:, n:], others)):
        apart = who[:, None] != who[None, :]
        if not apart.any():
            return float("nan")
        within += float(block[apart].mean())
    return within - 2 * float(kernel[:n, n:].mean())


def _groups(people: LabelColumn, seed: int) -> NDArray[np.int64]:
    """Deal the people to at most ``GROUPS`` groups, at random; each window's group, (N,)."""
    names, which = numbered(people)
    dealt = np.random.default_rng([seed, len(names)]).permutation(len(names)) % min(GROUPS, len(names))
    return np.asarray(dealt[which], np.int64)


def evenly_by_person(people: LabelColumn, windows: NDArray[np.int64], most: int = MOST_WINDOWS) -> NDArray[np.int64]:
    """Keep at most about ``most`` windows, ascending: all if there are fewer, or else the same number of each person.

    Args:
        people: person of every window of the data set.
        windows: windows to choose from.
        most: number of windows.
    """
    if len(windows) <= most:
        return windows
    names, which = numbered(people[windows])
    each = max(1, most // len(names))
    kept: list[int] = []
    for number in range(len(names)):
        own = windows[which == number]
        kept += own[np.linspace(0, len(own) - 1, min(each, len(own))).round().astype(np.int64)].tolist()
    return np.sort(np.array(kept, np.int64))
