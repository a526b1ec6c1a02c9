"""The tested windows' labels: compared once, seen by nobody."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.fake_shards import FakeShards
from helpers.made_cells import joined
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score

from experiments.evaluation.held_out_labels import HeldOutLabels, ScoresError, UnlabelledShards
from experiments.evaluation.metrics import classification_metrics, confusion_matrix, event_metrics, ranking_metrics
from experiments.evaluation.perturbations import Perturbation, apply
from experiments.evaluation.splits import LeakError

HOURS = 4 / 3600


def made(seed: int, n: int = 60, classes: int = 4) -> tuple[Any, Any, Any]:
    """Truth, people and scores."""
    rng = np.random.default_rng(seed)
    return (
        rng.integers(0, classes, n),
        np.array(["p1", "p2", "a long name"])[rng.integers(0, 3, n)],
        rng.dirichlet(np.ones(classes), n),
    )


def held_out(
    truth: Any, people: Any, event: int | None = None, ranking: bool = False, classes: int = 4
) -> HeldOutLabels:
    return HeldOutLabels(truth, people, classes, event, HOURS, ranking)


@given(st.integers(0, 2**32), st.sampled_from([None, 0, 3]), st.booleans())
def test_each_persons_metrics_are_those_of_their_windows(seed: int, event: int | None, ranking: bool) -> None:
    truth, people, scores = made(seed)
    scored = held_out(truth, people, event, ranking).score(scores)

    def expected(own: Any) -> dict[str, float]:
        found = classification_metrics(truth[own], scores[own])
        if ranking:
            found |= ranking_metrics(truth[own], scores[own])
        if event is not None:
            answered = scores[own].argmax(axis=1) == event
            found |= event_metrics(truth[own] == event, scores[own][:, event], answered, own.sum() * HOURS)
        return found

    assert scored.metrics == expected(np.ones(len(truth), bool))
    assert set(scored.by_subject) == set(people)
    for name, found in scored.by_subject.items():
        own = people == name
        assert found == expected(own)
        assert scored.windows_by_subject[name] == own.sum()
        assert scored.hours_by_subject[name] == pytest.approx(own.sum() * 4 / 3600)
        counts = confusion_matrix(truth[own], scores[own].argmax(axis=1), 4)
        assert scored.confusion_by_subject[name] == counts.tolist()


def test_against_scikit_learn() -> None:
    truth, people, scores = made(0, n=300)
    scored = held_out(truth, people, event=2).score(scores)
    for name in ("p1", "p2", "a long name"):
        own = people == name
        answer = scores[own].argmax(axis=1)
        found = scored.by_subject[name]
        assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth[own], answer))
        assert found["macro_f1"] == pytest.approx(f1_score(truth[own], answer, average="macro"))
        assert found["auroc"] == pytest.approx(roc_auc_score(truth[own] == 2, scores[own, 2]))


def test_someone_who_never_showed_the_event_has_no_curve() -> None:
    truth = np.array([0, 1, 0, 0, 1, 0])
    people = np.array(["falls"] * 3 + ["never"] * 3)
    truth[3:] = 0
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7], [0.8, 0.2], [0.9, 0.1]])
    scored = held_out(truth, people, event=1, classes=2).score(scores)
    assert scored.by_subject["falls"]["auroc"] == 1.0
    assert not {"auroc", "auprc", "event_sensitivity"} & set(scored.by_subject["never"])
    assert scored.by_subject["never"]["false_alarms_per_hour"] == pytest.approx(1 / (3 * HOURS))
    assert "recall@1" not in scored.metrics


def test_one_person_alone_is_all_of_it() -> None:
    truth, _, scores = made(1)
    scored = held_out(truth, np.full(len(truth), "p"), event=1, ranking=True).score(scores)
    assert scored.metrics == scored.by_subject["p"]
    assert scored.metrics is not scored.by_subject["p"]


@pytest.mark.parametrize("first_is_wrong", [False, True])
def test_a_second_look_is_refused_even_after_one_that_failed(first_is_wrong: bool) -> None:
    truth, people, scores = made(0)
    once = held_out(truth, people)
    if first_is_wrong:
        with pytest.raises(ScoresError):
            once.score(scores[:, :3])
    else:
        once.score(scores)
    with pytest.raises(LeakError, match="a second time; choose an epoch or a setting by scores on training subjects"):
        once.score(scores)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda s: s[:-1], r"shape \(59, 4\), 0 of them not finite; expected finite ones of shape \(60, 4\)"),
        (lambda s: s[:, :3], r"\(60, 3\)"),
        (lambda s: s.argmax(axis=1).astype(float), r"\(60,\)"),
        (lambda s: np.where(s > 0.7, np.nan, s), r"[1-9]\d* of them not finite"),
        (lambda s: np.where(s > 0.7, np.inf, s), r"[1-9]\d* of them not finite"),
    ],
)
def test_scores_that_are_none_are_refused(change: Any, found: str) -> None:
    truth, people, scores = made(0)
    with pytest.raises(ScoresError, match=found):
        held_out(truth, people).score(change(scores))


def test_shards_without_labels_give_everything_else() -> None:
    shards = FakeShards()
    plain = UnlabelledShards(joined(shards))
    assert "activity" not in list(plain.table)
    assert set(plain.table) == {"dataset", "source", "person", "subject", "population", "placement", "device"}
    assert len(plain.table) == 7
    assert plain.table["subject"].tolist() == shards.table["subject"].tolist()
    looks: list[Any] = [
        lambda: plain.table["activity"],
        lambda: plain.table.get("activity"),
        lambda: "activity" in plain.table,
        lambda: dict(plain.table)["activity"],
        lambda: plain.under(Perturbation("noise", 1)).table["activity"],
        # In some sets, what a recording is called or when it began tells what was done in it.
        lambda: plain.table["recording"],
        lambda: plain.table["start_s"],
    ]
    for look in looks:
        with pytest.raises((LeakError, KeyError)):
            look()
    assert (plain.imu(np.array([3, 1]))[0] == shards._imu[[3, 1]]).all()
    assert (plain.n_windows, plain.settings, plain.directory) == (shards.n_windows, shards.settings, "fake")


@pytest.mark.parametrize("text", ["noise=1", "rotation=90", "clip=0.5", "gyroscope=0", "rate=12.5"])
def test_windows_under_a_condition_are_changed_whatever_batch_they_are_read_in(text: str) -> None:
    kind, level = text.split("=")
    shards, perturbation = FakeShards(), Perturbation(kind, float(level))
    plain = UnlabelledShards(joined(shards))
    under = plain.under(perturbation)
    asked = np.array([7, 2, 30])
    values, samples, channels = under.imu(asked)
    expected = apply(perturbation, asked, *plain.imu(asked), 25.0)
    for found, one in zip((values, samples, channels), expected, strict=True):
        assert np.array_equal(found, one)
    for row, window in enumerate(asked):
        # Sums in another order may differ in the last bit.
        assert under.imu(np.array([window]))[0][0] == pytest.approx(values[row], abs=1e-5)
    assert not np.array_equal(values, plain.imu(asked)[0]) or not channels[:, 3:].any()
    assert np.array_equal(plain.imu(asked)[0], shards._imu[asked])  # what is read is not what is kept
