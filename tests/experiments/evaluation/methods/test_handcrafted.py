"""Methods on handcrafted features, alone and beside an encoder's, against plain scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.fake_shards import FakeShards
from helpers.made_cells import make_cell
from sklearn.linear_model import LogisticRegression

from experiments.evaluation.methods import CellData, Scores, find_method


def predict(name: str, data: CellData, windows: np.ndarray) -> Scores:
    return find_method(name).fit(data)(data.features, windows)


def standardised(pool: np.ndarray, rows: np.ndarray) -> np.ndarray:
    deviation = pool.std(axis=0)
    scale = np.where(deviation > 1e-6 * (1 + np.abs(pool.mean(axis=0))), deviation, 1.0)
    return np.clip((rows - pool.mean(axis=0)) / scale, -6, 6)


def logistic(known: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> Scores:
    fitted = LogisticRegression(C=0.05, max_iter=10_000, tol=1e-10).fit(known, labels)
    return np.asarray(fitted.predict_proba(asked))


def test_the_logistic_is_that_of_scikit_learn_on_clipped_features() -> None:
    data, test, _ = make_cell(FakeShards())
    rows = data.features.handcrafted
    pool = rows[data.pool].astype(np.float64)
    expected = logistic(standardised(pool, rows[data.support]), data.support_labels, standardised(pool, rows[test]))
    # Two solvers, each stopped before the last digits.
    assert predict("handcrafted_logistic", data, test) == pytest.approx(expected, abs=2e-3)


def test_in_the_hybrid_both_blocks_count_alike() -> None:
    data, test, _ = make_cell(FakeShards())
    parts = {}
    for which, windows in (("known", data.support), ("asked", test)):
        blocks = []
        for rows in (data.features.handcrafted, data.features.pretrained):
            block = standardised(rows[data.pool].astype(np.float64), rows[windows].astype(np.float64))
            blocks.append(block * np.sqrt(1 / block.shape[1]))
        width = sum(block.shape[1] for block in blocks)
        parts[which] = np.concatenate(blocks, axis=1) * np.sqrt(width / 2)
    expected = logistic(parts["known"], data.support_labels, parts["asked"])
    assert predict("hybrid_logistic", data, test) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize(
    ("mean", "parts"),
    [
        ("handcrafted_mean", ("handcrafted_logistic", "handcrafted_trees")),
        ("hybrid_mean", ("hybrid_logistic", "handcrafted_trees")),
    ],
)
def test_a_mean_is_the_mean_of_its_parts(mean: str, parts: tuple[str, str]) -> None:
    data, test, _ = make_cell(FakeShards())
    expected = sum(predict(name, data, test) for name in parts) / 2
    assert predict(mean, data, test) == pytest.approx(expected, abs=1e-12)  # the same numbers, added


def test_a_method_of_handcrafted_features_needs_no_checkpoint() -> None:
    for name in ("handcrafted_logistic", "handcrafted_trees", "handcrafted_mean", "hybrid_random"):
        assert not find_method(name).checkpoint
    assert find_method("hybrid_logistic").checkpoint
