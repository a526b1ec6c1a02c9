"""Forests on handcrafted features, see :mod:`datamodules.handcrafted`: baselines without any learnt encoder.

The trees are those of scikit-learn's ``RandomForestClassifier`` and ``ExtraTreesClassifier`` with default settings, to
the last bit, and its builder grows them. For each tree these classes check labels and settings, copy an estimator and
make random states anew, which takes longer than growing a tree on a hundred windows. Here it is done once a forest.

Shape legend: N windows, K features, C classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.tree._criterion import Gini
from sklearn.tree._splitter import BestSplitter, RandomSplitter
from sklearn.tree._tree import DepthFirstTreeBuilder, Tree

from core.plural import plural

_LARGEST = np.iinfo(np.int32).max  # depth of a tree and seed of its random state, as in scikit-learn


@dataclass(frozen=True)
class Forest:
    """A fitted forest.

    Attributes:
        trees: the trees; they answer with the shares of ``classes``.
        classes: activities that have labelled windows, ascending.
        n_classes: C; activities without a labelled window get probability 0.
    """

    trees: tuple[Tree, ...]
    classes: NDArray[np.int64]
    n_classes: int

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Predict probabilities: features (N, K) -> (N, C)."""
        rows = np.ascontiguousarray(features, np.float32)
        found = np.zeros((len(rows), self.n_classes))
        mean = np.zeros((len(rows), len(self.classes)))
        for tree in self.trees:
            mean += tree.predict(rows)
        found[:, self.classes] = mean / len(self.trees)
        return found


def fit_forest(
    features: NDArray[np.float32], labels: NDArray[np.int64], n_classes: int, seed: int, trees: int = 300
) -> Forest:
    """Fit a random forest on features (N, K) and labels (N,).

    Raises:
        ValueError: a feature is not finite.
    """
    return _grow(features, labels, n_classes, seed, trees, BestSplitter, bootstrap=True)


def fit_extra_trees(
    features: NDArray[np.float32], labels: NDArray[np.int64], n_classes: int, seed: int, trees: int = 300
) -> Forest:
    """Fit extremely randomised trees on features (N, K) and labels (N,).

    Raises:
        ValueError: a feature is not finite.
    """
    return _grow(features, labels, n_classes, seed, trees, RandomSplitter, bootstrap=False)


def _grow(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    n_classes: int,
    seed: int,
    trees: int,
    splitter: type[BestSplitter | RandomSplitter],
    bootstrap: bool,
) -> Forest:
    rows = np.ascontiguousarray(features, np.float32)
    if not np.isfinite(rows).all():
        raise ValueError(
            f"{plural(int(np.count_nonzero(~np.isfinite(rows))), 'feature')} of labelled windows not finite"
        )
    classes, positions = np.unique(labels, return_inverse=True)
    truth = np.ascontiguousarray(positions.reshape(-1, 1), np.float64)
    sizes = np.array([len(classes)], np.intp)
    n, width = rows.shape
    tried = max(1, math.isqrt(width))  # features at each split
    state = np.random.RandomState(seed)
    own = np.random.RandomState(0)  # seeded for each tree: making one takes ten times as long as seeding it
    grown = []
    for start in [state.randint(_LARGEST) for _ in range(trees)]:
        weights = None
        if bootstrap:
            own.seed(start)
            weights = np.bincount(own.randint(0, n, n), minlength=n).astype(np.float64)
        own.seed(start)
        tree = Tree(width, sizes, 1)
        split = splitter(Gini(1, sizes), tried, 1, 0.0, own, None)
        DepthFirstTreeBuilder(split, 2, 1, 0.0, _LARGEST, 0.0).build(tree, rows, truth, weights, None)
        grown.append(tree)
    return Forest(tuple(grown), classes, n_classes)
