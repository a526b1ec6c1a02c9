"""Random forests on handcrafted features, see :mod:`datamodules.handcrafted`: a baseline without any learnt encoder.

Shape legend: N windows, K features, C classes.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

# With one window per activity, scikit-learn warns once per tree. The filter is set for the whole process: forests are
# fitted in several threads, and filters that each thread sets and resets would disturb each other.
warnings.filterwarnings("ignore", message="The number of unique classes is greater", category=UserWarning)


@dataclass(frozen=True)
class Forest:
    """A fitted random forest.

    Attributes:
        trees: of scikit-learn, a random forest or extremely randomised trees.
        n_classes: C; activities without a labelled window get probability 0.
    """

    trees: RandomForestClassifier | ExtraTreesClassifier
    n_classes: int

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Predict probabilities: features (N, K) -> (N, C).

        They are those of scikit-learn's ``predict_proba``. That checks the features for each of the trees, and hands
        each tree to joblib: for a few hundred windows this takes longer than the trees, and holds Python's lock.
        """
        rows = np.ascontiguousarray(features, np.float32)
        found = np.zeros((len(rows), self.n_classes))
        mean = np.zeros((len(rows), len(self.trees.classes_)))
        for tree in self.trees.estimators_:
            mean += tree.tree_.predict(rows)
        found[:, self.trees.classes_] = mean / len(self.trees.estimators_)
        return found


def fit_forest(
    features: NDArray[np.float32], labels: NDArray[np.int64], n_classes: int, seed: int, trees: int = 300
) -> Forest:
    """Fit a random forest on features (N, K) and labels (N,)."""
    return Forest(RandomForestClassifier(trees, random_state=seed).fit(features, labels), n_classes)


def fit_extra_trees(
    features: NDArray[np.float32], labels: NDArray[np.int64], n_classes: int, seed: int, trees: int = 300
) -> Forest:
    """Fit extremely randomised trees on features (N, K) and labels (N,)."""
    return Forest(ExtraTreesClassifier(trees, random_state=seed).fit(features, labels), n_classes)
