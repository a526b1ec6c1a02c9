"""What predictions are measured by: closed forms, and the same numbers as scikit-learn's and torchmetrics'."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    label_ranking_average_precision_score,
    recall_score,
    roc_auc_score,
    top_k_accuracy_score,
)
from torchmetrics.classification import (
    BinaryAUROC,
    BinaryAveragePrecision,
    MulticlassAccuracy,
    MulticlassCalibrationError,
    MulticlassF1Score,
)
from torchmetrics.retrieval import RetrievalMRR, RetrievalRecall

from experiments.evaluation.metrics import (
    calibration_error,
    classification_metrics,
    confusion_matrix,
    event_metrics,
    per_class_recall,
    ranking_metrics,
    true_class_ranks,
)


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
    assert found["recall@5"] == found["chance_recall@5"] == 1  # there are but three
    assert found["pool_size"] == 3


def test_chance_levels_are_those_of_random_scores() -> None:
    truth, scores = _case(0, 20_000, 7)
    found = ranking_metrics(truth, scores)
    for name in ("recall@1", "recall@3", "recall@5", "mrr"):
        # Standard error of a share over 20,000 windows is at most 0.0036.
        assert found[name] == pytest.approx(found[f"chance_{name}"], abs=0.014)


@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(2, 8))
def test_recall_of_each_class(seed: int, n: int, c: int) -> None:
    truth, scores = _case(seed, n, c)
    found = per_class_recall(confusion_matrix(truth, scores.argmax(1), c))
    present = np.isin(np.arange(c), truth)
    expected = recall_score(truth, scores.argmax(1), labels=np.arange(c), average=None, zero_division=0)
    assert np.isnan(found).tolist() == (~present).tolist()
    np.testing.assert_array_equal(found[present], expected[present])


@pytest.mark.parametrize("seed", range(5))
def test_equal_to_torchmetrics(seed: int) -> None:
    """All classes occur: torchmetrics counts one that is only predicted as a class of recall 0, we do not."""
    truth, scores = _case(seed, 300, 6)
    assert set(truth) == set(range(6))
    found = classification_metrics(truth, scores)
    labels, probabilities = torch.from_numpy(truth), torch.from_numpy(scores)
    expected = {
        "accuracy": MulticlassAccuracy(6, average="micro"),
        "balanced_accuracy": MulticlassAccuracy(6, average="macro"),
        "macro_f1": MulticlassF1Score(6, average="macro"),
        "calibration_error": MulticlassCalibrationError(6, n_bins=15, norm="l1"),
    }
    for name, metric in expected.items():
        # torchmetrics counts in single precision.
        assert found[name] == pytest.approx(metric(probabilities, labels).item(), abs=2e-6), name


def test_classes_that_do_not_occur_are_left_out_as_by_scikit_learn() -> None:
    truth, scores = _case(4, 200, 6)
    truth[truth == 2] = 3
    predicted = scores.argmax(1)
    assert 2 in predicted
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        expected = balanced_accuracy_score(truth, predicted)
    assert classification_metrics(truth, scores)["balanced_accuracy"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_calibration_error_of_votes_equals_torchmetrics(seed: int) -> None:
    """Votes of five neighbours fall on the bins' edges, all of one share together, whichever side is closed."""
    rng = np.random.default_rng(seed)
    scores = rng.multinomial(5, np.ones(3) / 3, 200) / 5
    truth = rng.integers(0, 3, 200)
    expected = MulticlassCalibrationError(3, n_bins=15, norm="l1")(torch.from_numpy(scores), torch.from_numpy(truth))
    assert calibration_error(truth, scores) == pytest.approx(expected.item(), abs=2e-6)


@pytest.mark.parametrize("seed", range(5))
def test_ranking_equals_torchmetrics(seed: int) -> None:
    """Without ties, which torchmetrics resolves by position."""
    truth, scores = _case(seed, 80, 9)
    wanted = torch.nn.functional.one_hot(torch.from_numpy(truth), 9).flatten()
    queries = torch.arange(80).repeat_interleave(9)
    found = ranking_metrics(truth, scores)
    flat = torch.from_numpy(scores).flatten()
    assert found["mrr"] == pytest.approx(RetrievalMRR()(flat, wanted, queries).item(), abs=1e-6)
    for k in (1, 3, 5):
        expected = RetrievalRecall(top_k=k)(flat, wanted, queries).item()
        assert found[f"recall@{k}"] == pytest.approx(expected, abs=1e-6)
        top = top_k_accuracy_score(truth, scores, k=k, labels=range(9))
        assert found[f"recall@{k}"] == pytest.approx(top, abs=1e-12)


@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(2, 8))
def test_ranking_with_ties_equals_scikit_learn(seed: int, n: int, c: int) -> None:
    """With one right class a window, scikit-learn's label ranking precision is 1 / rank, ties against the method."""
    rng = np.random.default_rng(seed)
    truth, scores = rng.integers(0, c, n), rng.integers(0, 4, (n, c)) / 4
    wanted = np.eye(c, dtype=int)[truth]
    expected = label_ranking_average_precision_score(wanted, scores)
    assert ranking_metrics(truth, scores)["mrr"] == pytest.approx(expected, abs=1e-12)
    one_by_one = [label_ranking_average_precision_score(wanted[i : i + 1], scores[i : i + 1]) for i in range(n)]
    for k in (1, 3, 5):
        hits = np.mean([reciprocal >= 1 / k for reciprocal in one_by_one])
        assert ranking_metrics(truth, scores)[f"recall@{k}"] == pytest.approx(hits, abs=1e-12)


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 80), st.sampled_from([3, 1000]))
def test_event_metrics_equal_scikit_learn_and_torchmetrics(seed: int, n: int, levels: int) -> None:
    """Three levels of score: nearly all windows are tied."""
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.2
    truth[:2] = True, False
    score = rng.integers(0, levels, n) / levels
    found = event_metrics(truth, score, score >= 0.5, 2.0)
    assert found["auroc"] == pytest.approx(roc_auc_score(truth, score), abs=1e-12)
    assert found["auprc"] == pytest.approx(average_precision_score(truth, score), abs=1e-12)
    ours, theirs = torch.from_numpy(score), torch.from_numpy(truth).long()
    # torchmetrics sums in single precision.
    assert found["auroc"] == pytest.approx(BinaryAUROC()(ours, theirs).item(), abs=1e-5)
    assert found["auprc"] == pytest.approx(BinaryAveragePrecision()(ours, theirs).item(), abs=1e-5)


def test_event_metrics_of_a_known_case() -> None:
    truth = np.array([True, True, False, False, False, False, False, False])
    score = np.array([0.9, 0.4, 0.6, 0.5, 0.1, 0.1, 0.1, 0.1])
    assert event_metrics(truth, score, score >= 0.5, 0.5) == pytest.approx(
        {
            "auroc": (6 + 4) / 12,  # pairs in the right order
            "auprc": (1 / 1 + 2 / 4) / 2,  # precision at each event's rank
            "chance_auprc": 0.25,
            "event_sensitivity": 0.5,
            "event_precision": 1 / 3,
            "detections_per_hour": 6,
            "false_alarms_per_hour": 4,
        }
    )


def test_a_constant_score_is_at_chance() -> None:
    truth = np.arange(50) < 10
    found = event_metrics(truth, np.zeros(50), np.zeros(50, bool), 1.0)
    assert found["auroc"] == 0.5
    assert found["auprc"] == pytest.approx(found["chance_auprc"]) == pytest.approx(0.2)


@given(st.integers(0, 10**6), st.integers(1, 12), st.sampled_from([0.0, 0.3]))
def test_undefined_event_metrics_are_absent(seed: int, n: int, hours: float) -> None:
    rng = np.random.default_rng(seed)
    truth, score, predicted = rng.random(n) < 0.3, rng.random(n), rng.random(n) < 0.3
    found = event_metrics(truth, score, predicted, hours)
    curves = {"auroc", "auprc", "chance_auprc"} if 0 < truth.sum() < n else set()
    rates = {"detections_per_hour", "false_alarms_per_hour"} if hours else set()
    sensitivity = {"event_sensitivity"} if truth.any() else set()
    precision = {"event_precision"} if truth.any() and predicted.any() else set()
    assert set(found) == curves | rates | sensitivity | precision
    assert all(math.isfinite(value) for value in found.values())


def test_event_metrics_of_what_does_not_fit_together() -> None:
    two, three = np.zeros(2, bool), np.zeros(3)
    with pytest.raises(ValueError, match=r"shapes \(2,\), \(3,\), \(2,\)"):
        event_metrics(two, three, two, 1.0)
    with pytest.raises(ValueError, match="N at least 1"):
        event_metrics(two[:0], three[:0], two[:0], 1.0)
    with pytest.raises(ValueError, match=r"hours is -1\.0"):
        event_metrics(two, np.zeros(2), two, -1.0)
