"""Losses on labels and on known features against naive references in float64, and at their ends."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from lightning_modules.losses.known_regression import known_regression_loss
from lightning_modules.losses.supervised import label_loss, supervised_contrastive_loss

SET_OF_CLASS = torch.tensor([0, 0, 1, 1, 1])
LABELS = torch.tensor([0, 1, 4, 2, -1, 2, 0, 0])
PERSONS = torch.tensor([0, 0, 2, 2, 0, 3, 1, 0])


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_each_window_is_told_among_its_own_sets_classes() -> None:
    logits = drawn(8, 5)
    losses = []
    for row, label in zip(logits, LABELS.tolist(), strict=True):
        if label >= 0:
            own = [c for c in range(5) if SET_OF_CLASS[c] == SET_OF_CLASS[label]]
            losses.append(math.log(sum(math.exp(row[c]) for c in own)) - row[label].item())
    expected = sum(losses) / len(losses)
    assert label_loss(logits, LABELS, SET_OF_CLASS).item() == pytest.approx(expected, rel=1e-12)  # float64 both


def test_one_sets_head_is_plain_cross_entropy() -> None:
    logits, labels = drawn(6, 3), torch.tensor([0, 2, 1, 1, 0, 2])
    found = label_loss(logits, labels, torch.zeros(3, dtype=torch.int64))
    torch.testing.assert_close(found, F.cross_entropy(logits, labels), rtol=1e-12, atol=0)


def naive(rows: torch.Tensor, temperature: float, other_people: bool) -> float:
    unit, losses = F.normalize(rows, dim=1), []
    for i, label in enumerate(LABELS.tolist()):
        candidates = [
            a
            for a, other in enumerate(LABELS.tolist())
            if a != i and label >= 0 and other >= 0 and SET_OF_CLASS[other] == SET_OF_CLASS[label]
            and not (other_people and other == label and PERSONS[a] == PERSONS[i])
        ]  # fmt: skip
        positives = [a for a in candidates if LABELS[a] == label]
        if positives:
            similarity = {a: math.exp(unit[i] @ unit[a] / temperature) for a in candidates}
            total = sum(similarity.values())
            losses.append(-sum(math.log(similarity[p] / total) for p in positives) / len(positives))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("other_people", [True, False])
def test_contrast_of_activities_equals_its_definition(other_people: bool) -> None:
    rows = drawn(8, 4)
    found = supervised_contrastive_loss(rows, LABELS, PERSONS, SET_OF_CLASS, 0.3, other_people).item()
    assert found == pytest.approx(naive(rows, 0.3, other_people), rel=1e-12)  # float64 both


def test_contrast_of_equal_rows_counts_candidates() -> None:
    # Four rows of one set that all look alike: each of the three others is as likely, and one is the positive.
    labels, persons = torch.tensor([0, 0, 1, 1]), torch.arange(4)
    found = supervised_contrastive_loss(torch.ones(4, 3), labels, persons, SET_OF_CLASS, 0.1)
    assert found.item() == pytest.approx(math.log(3), rel=1e-6)  # float32


@pytest.mark.parametrize("labels", [[-1, -1, -1], [0, 1, 2], [0, 0, 2]])
def test_where_there_is_nothing_to_learn_it_is_zero(labels: list[int]) -> None:
    rows = drawn(3, 4).requires_grad_()
    persons = torch.zeros(3, dtype=torch.int64)  # the third case: two windows of one person
    loss = supervised_contrastive_loss(rows, torch.tensor(labels), persons, SET_OF_CLASS, 0.1)
    loss.backward()
    assert loss.item() == 0
    assert rows.grad is not None
    assert (rows.grad == 0).all()
    logits = drawn(3, 5).requires_grad_()
    loss = label_loss(logits, torch.tensor(labels), SET_OF_CLASS)
    loss.backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert (loss.item() == 0) == (max(labels) < 0)


def test_gradients() -> None:
    rows, logits = drawn(8, 4).requires_grad_(), drawn(8, 5).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: supervised_contrastive_loss(x, LABELS, PERSONS, SET_OF_CLASS, 0.5), (rows,)
    )
    assert torch.autograd.gradcheck(lambda x: label_loss(x, LABELS, SET_OF_CLASS), (logits,))


def test_what_is_unknown_is_not_learnt() -> None:
    prediction, target = drawn(3, 4).requires_grad_(), drawn(3, 4, seed=1)
    target[0, 1] = target[2] = torch.nan
    loss = known_regression_loss(prediction, target)
    known = [(i, k) for i in range(3) for k in range(4) if target[i, k].isfinite()]
    errors = [(prediction[at] - target[at]).item() ** 2 for at in known]
    assert len(errors) == 7
    assert loss.item() == pytest.approx(sum(errors) / 7, rel=1e-12)  # float64 both
    loss.backward()
    assert prediction.grad is not None
    assert ((prediction.grad == 0) == target.isnan()).all()
    assert known_regression_loss(prediction, torch.full((3, 4), torch.nan)).item() == 0
    with pytest.raises(ValueError, match="must have one shape"):
        known_regression_loss(prediction, target[:2])
