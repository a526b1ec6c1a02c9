import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, recall_score

from experiments.metrics import calibration_error, classification_metrics, ranking_metrics, true_class_ranks


def _case(seed: int, n: int, c: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, c, n), rng.dirichlet(np.ones(c), n)


@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(2, 8))
def test_equal_to_scikit_learn(seed: int, n: int, c: int) -> None:
    truth, scores = _case(seed, n, c)
    predicted, present = scores.argmax(1), np.unique(truth)
    found = classification_metrics(truth, scores)
    # Sums of up to 60 ratios: rounding only.
    assert found["accuracy"] == pytest.approx(accuracy_score(truth, predicted), abs=1e-12)
    recall = recall_score(truth, predicted, labels=present, average="macro", zero_division=0)
    assert found["balanced_accuracy"] == pytest.approx(recall, abs=1e-12)
    f1 = f1_score(truth, predicted, labels=present, average="macro", zero_division=0)
    assert found["macro_f1"] == pytest.approx(f1, abs=1e-12)


def test_calibration_error_of_known_cases() -> None:
    sure = np.array([[1.0, 0.0]] * 4)
    assert calibration_error(np.zeros(4, int), sure) == 0
    assert calibration_error(np.array([0, 0, 1, 1]), sure) == pytest.approx(0.5)
    # 80 % confident and right in 4 of 5: calibrated; in one bin with 1 of 5 right it is off by 0.6.
    likely = np.array([[0.8, 0.2]] * 5)
    assert calibration_error(np.array([0, 0, 0, 0, 1]), likely) == pytest.approx(0, abs=1e-12)
    assert calibration_error(np.array([0, 1, 1, 1, 1]), likely) == pytest.approx(0.6)


def test_calibration_error_against_a_loop_over_bins() -> None:
    truth, scores = _case(3, 500, 4)
    confidence, right = scores.max(1), scores.argmax(1) == truth
    expected = 0.0
    for i in range(15):
        inside = (confidence > i / 15) & (confidence <= (i + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert calibration_error(truth, scores) == pytest.approx(expected, abs=1e-12)


def test_ranks_of_known_scores_and_ties_count_against() -> None:
    scores = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [1 / 3, 1 / 3, 1 / 3]])
    truth = np.array([0, 2, 1])
    assert true_class_ranks(truth, scores).tolist() == [1, 3, 3]
    found = ranking_metrics(truth, scores)
    assert found["recall@1"] == pytest.approx(1 / 3)
    assert found["recall@3"] == 1
    assert found["mrr"] == pytest.approx((1 + 1 / 3 + 1 / 3) / 3)
    assert found["pool_size"] == 3


def test_chance_levels_are_those_of_random_scores() -> None:
    truth, scores = _case(0, 20_000, 7)
    found = ranking_metrics(truth, scores)
    for name in ("recall@1", "recall@3", "mrr"):
        # Standard error of a share over 20,000 windows is at most 0.0036.
        assert found[name] == pytest.approx(found[f"chance_{name}"], abs=0.014)
