"""Shortcuts: ways to tell the activity without the movement.

Data sets give their labels away. One activity is always recorded for 12 s and another for 100 s; one sensor was worn on
the thigh; one activity came from another device. Methods then score well without recognising any activity. The search
asks two questions, always on subjects that the answer was not learnt from:

- How well do facts about the recording tell the activity (valid length, missing channels, placement, device, faults,
  start, the recording's length)? Many honest sets have some of this, so the finding is a warning, with figures.
- Does a single number of the window tell all activities apart? A label that got into the data does (in one sample, a
  channel's offset, the padding, the masks): the finding is a leak. An offset that drowns in the movement is none.

Shape legend: N windows, T samples, C activities, K numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GroupKFold
from sklearn.tree import DecisionTreeClassifier

from datamodules.labels.label_column import numbered
from datamodules.recording import CHANNELS
from experiments.evaluation.audit.duplicates import Read
from experiments.evaluation.splits import Table

LEAK, WARNING = "leak", "warning"
_MOST_WINDOWS = 4000  # windows; enough for both questions
_FOLDS = 4
_SHUFFLES = 200
_MARGIN = 0.02  # needed above the score of shuffled labels
# Balanced accuracy from which a single number tells the activities apart. With 6 or more activities, no number of
# real movement comes near: the best reaches 0.18 on 27 of UTD-MHAD, 0.12 on 32 of SisFall, 0.47 on 9 simulated ones.
_TELLS_FEW, _TELLS_MANY, _MANY = 0.98, 0.90, 6
_NEARLY_CONSTANT = 0.02  # range within an activity, divided by the distance between activities
_TRIED = 8  # so many of the numbers that differ most between activities


class _Model(Protocol):
    """The part of scikit-learn's classifiers that is used here."""

    def fit(self, x: NDArray[np.float64], y: NDArray[np.int64]) -> _Model: ...

    def predict(self, x: NDArray[np.float64]) -> NDArray[np.int64]: ...


@dataclass(frozen=True)
class Finding:
    """A finding about a target that a reader must know.

    Attributes:
        severity: ``LEAK`` makes results worthless; ``WARNING`` is printed with them.
        text: the finding in plain words, with figures.
    """

    severity: str
    text: str


@dataclass(frozen=True)
class _Labelled:
    """Labels, subjects and recordings of windows; C activities coded from 0."""

    labels: NDArray[np.int64]
    subjects: NDArray[np.int64]
    recordings: NDArray[np.int64]
    n_classes: int

    def take(self, rows: NDArray[np.bool_]) -> _Labelled:
        codes, labels = np.unique(self.labels[rows], return_inverse=True)
        return _Labelled(labels, self.subjects[rows], self.recordings[rows], len(codes))


def label_shortcuts(table: Table, read: Read, windows: NDArray[np.int64], duration_s: float) -> list[Finding]:
    """Search labelled windows for shortcuts.

    A single number is a leak if a small tree on it reaches a balanced accuracy of 0.90 among 6 or more activities, on
    subjects that it was not fitted on. Among fewer activities, gravity alone may tell lying, sitting and standing
    apart. There, the number must reach 0.98 and be nearly the same in all windows of an activity: its range (5 % to
    95 %) is at most 2 % of the smallest distance between the medians of two activities.

    Args:
        table: columns with one row for each window of the data set: ``subject``, ``recording``, ``activity``,
            ``start_s``, and, where there are any, ``placement``, ``device`` and ``faults``.
        read: function that reads samples (N, T, 6), sample mask (N, T) and channel mask (N, 6) of windows.
        windows: numbers of labelled windows, (N,); at most 4,000 of them are drawn and used.
        duration_s: length of a window, seconds.

    Returns:
        Findings, leaks first; none with fewer than two subjects or activities.
    """
    if len(windows) > _MOST_WINDOWS:
        windows = np.sort(np.random.default_rng(0).choice(windows, _MOST_WINDOWS, replace=False))
    activities, labels = numbered(table["activity"][windows])
    names, subjects = numbered(table["subject"][windows])
    if len(activities) < 2 or len(names) < 2:
        return []
    known = _Labelled(labels, subjects, recording_codes(table)[windows], len(activities))
    imu, samples, channels = read(windows)
    facts = _facts(table, windows, samples, channels, duration_s)
    findings = _single_numbers(known, imu, samples, channels)
    valid = samples[:, :, None] & channels[:, None, :]
    dirty = np.count_nonzero((np.where(valid, 0, imu) != 0).any(axis=(1, 2)))
    if dirty:
        text = f"{dirty} of {len(windows)} windows are not zero where nothing was measured"
        findings.append(Finding(WARNING, text))
    return findings + _from_facts(known, facts)


def recording_codes(table: Table) -> NDArray[np.int64]:
    """Number each recording of each subject, (N,)."""
    subject = numbered(table["subject"])[1]
    names, recording = numbered(table["recording"])
    return np.asarray(np.unique(subject * len(names) + recording, return_inverse=True)[1], np.int64)


def _facts(
    table: Table,
    windows: NDArray[np.int64],
    samples: NDArray[np.bool_],
    channels: NDArray[np.bool_],
    duration_s: float,
) -> dict[str, NDArray[np.float64]]:
    """Collect facts about windows without their movement; facts that never differ are left out."""
    start = np.asarray(table["start_s"], np.float64)
    recording = recording_codes(table)
    first, last = np.full(len(start), np.inf), np.full(len(start), -np.inf)
    np.minimum.at(first, recording, start)
    np.maximum.at(last, recording, start)
    length = (last - first)[recording] + duration_s
    facts = {
        "valid length": samples.sum(axis=1),
        "missing channels": channels @ (1 << np.arange(len(CHANNELS))),
        "start in the recording": start[windows],
        "the recording's length": length[windows],
    }
    for name in ("placement", "device", "faults"):
        if name in table:
            facts[name] = np.unique(table[name][windows], return_inverse=True)[1]
    return {name: np.asarray(fact, np.float64) for name, fact in facts.items() if np.ptp(fact) > 0}


def _from_facts(known: _Labelled, facts: dict[str, NDArray[np.float64]]) -> list[Finding]:
    if not facts:
        return []

    def tree() -> _Model:
        model: _Model = DecisionTreeClassifier(
            max_leaf_nodes=4 * known.n_classes, class_weight="balanced", random_state=0
        )
        return model

    def forest() -> _Model:
        model: _Model = RandomForestClassifier(20, min_samples_leaf=2, class_weight="balanced", random_state=0)
        return model

    scores = {}
    for name, fact in facts.items():
        score, expected = _recognised(known, fact[:, None], tree)
        if score > expected + _MARGIN:
            scores[name] = score
    together, expected = _recognised(known, np.column_stack(list(facts.values())), forest)
    if not scores and together <= expected + _MARGIN:
        return []
    names = sorted(scores, key=lambda name: -scores[name])
    alone = ", ".join(f"{name} alone {scores[name]:.1%}" for name in names) or "none of them alone"
    text = (
        f"without the movement, {', '.join(facts)} tell {known.n_classes} activities apart at"
        f" {max([together, *scores.values()]):.1%} (balanced accuracy on other subjects; chance"
        f" {1 / known.n_classes:.1%}, with shuffled labels up to {expected:.1%}): {alone}"
    )
    return [Finding(WARNING, text)]


def _recognised(known: _Labelled, values: NDArray[np.float64], make: Callable[[], _Model]) -> tuple[float, float]:
    """Measure balanced accuracy on subjects left out, and its 99 % quantile over shuffled labels.

    A shuffle puts each subject's recordings in another order, and rotates the labels by a random number of windows.
    Neighbours thus stay together, because windows of one recording are not independent.
    """
    predicted = _predict(known, values, make)
    rng = np.random.default_rng(0)
    order = np.argsort(known.subjects, kind="stable")
    by_subject = np.split(order, np.flatnonzero(np.diff(known.subjects[order])) + 1)
    shuffled = []
    for _ in range(_SHUFFLES):
        place = rng.permutation(known.recordings.max() + 1)[known.recordings]
        labels = np.empty_like(known.labels)
        for rows in by_subject:
            moved = rows[np.argsort(place[rows], kind="stable")]
            labels[rows] = np.roll(known.labels[moved], rng.integers(len(rows)))
        shuffled.append(_balanced_accuracy(labels, predicted, known.n_classes))
    return _balanced_accuracy(known.labels, predicted, known.n_classes), float(np.quantile(shuffled, 0.99))


def _predict(known: _Labelled, values: NDArray[np.float64], make: Callable[[], _Model]) -> NDArray[np.int64]:
    """Predict activities from the windows of other subjects, (N,); -1 where none of these shows the true activity."""
    predicted = np.full(len(values), -1)
    folds = GroupKFold(min(_FOLDS, len(np.unique(known.subjects))))
    for fit, test in folds.split(values, known.labels, known.subjects):
        test = test[np.isin(known.labels[test], known.labels[fit])]
        if test.size:
            predicted[test] = make().fit(values[fit], known.labels[fit]).predict(values[test])
    return predicted


def _balanced_accuracy(labels: NDArray[np.int64], predicted: NDArray[np.int64], n_classes: int) -> float:
    """Average recall over the windows that have a prediction; 0 if none has."""
    counts = np.bincount(labels[predicted >= 0], minlength=n_classes)
    right = np.bincount(labels[labels == predicted], minlength=n_classes)
    there = counts > 0
    return float(np.mean(right[there] / counts[there])) if there.any() else 0.0


def _single_numbers(
    known: _Labelled, imu: NDArray[np.float32], samples: NDArray[np.bool_], channels: NDArray[np.bool_]
) -> list[Finding]:
    """Find the single number that tells most activities apart, if it is a leak."""
    found = []
    for name, rows, values in _where_nothing_was_measured(imu, samples, channels):
        part = known.take(rows)
        if part.n_classes >= 2 and len(np.unique(part.subjects)) >= 2:
            text = f"{name}, in the {rows.sum()} windows that have such values, alone tells"
            found.append((*_tells_all(part, values[rows]), text))
    names, numbers = _numbers(imu, samples, channels)
    for k in np.argsort(-_separation(known, numbers), kind="stable")[:_TRIED]:
        found.append((*_tells_all(known, numbers[:, k]), f"{names[k]} alone tells"))
    leaks = [(score, n, text) for is_leak, score, n, text in found if is_leak]
    if not leaks:
        return []
    score, n, text = max(leaks, key=lambda leak: leak[0])
    return [
        Finding(
            LEAK, f"{text} {n} activities apart at {score:.1%} on other subjects, as a label written into the data does"
        )
    ]


def _numbers(
    imu: NDArray[np.float32], samples: NDArray[np.bool_], channels: NDArray[np.bool_]
) -> tuple[list[str], NDArray[np.float64]]:
    """List numbers that could carry a label, (N, K): of channels, of masks, and each single sample."""
    n, t = samples.shape
    valid = (samples[:, :, None] & channels[:, None, :]).astype(bool)
    count = np.maximum(valid.sum(axis=1), 1)
    mean = np.where(valid, imu, 0).sum(axis=1, dtype=np.float64) / count
    deviation = np.sqrt((np.where(valid, imu - mean[:, None], 0) ** 2).sum(axis=1) / count)
    rows = np.arange(n)
    first, last = samples.argmax(axis=1), t - 1 - samples[:, ::-1].argmax(axis=1)
    of_channels = {
        "mean": mean,
        "standard deviation": deviation,
        "minimum": np.where(valid, imu, np.inf).min(axis=1),
        "maximum": np.where(valid, imu, -np.inf).max(axis=1),
        "first valid sample": imu[rows, first],
        "last valid sample": imu[rows, last],
    }
    names = [f"the {what} of {channel}" for what in of_channels for channel in CHANNELS]
    names += ["the number of valid samples", "the place of the first valid sample", "the set of missing channels"]
    names += [f"sample {i} of {channel}" for i in range(t) for channel in CHANNELS]
    masks = [samples.sum(axis=1), first, channels @ (1 << np.arange(len(CHANNELS)))]
    numbers = np.column_stack([*of_channels.values(), *masks, imu.reshape(n, -1)]).astype(np.float64)
    return names, np.where(np.isfinite(numbers), numbers, 0.0)


def _where_nothing_was_measured(
    imu: NDArray[np.float32], samples: NDArray[np.bool_], channels: NDArray[np.bool_]
) -> list[tuple[str, NDArray[np.bool_], NDArray[np.float64]]]:
    """Find values other than zero in gaps, padding and absent channels, and the windows that have such places."""
    found: list[tuple[str, NDArray[np.bool_], NDArray[np.float64]]] = []
    for c, channel in enumerate(CHANNELS):
        empty = ~(samples & channels[:, c, None])
        if (imu[..., c][empty] != 0).any():
            total = np.where(empty, imu[..., c], 0).sum(axis=1, dtype=np.float64)
            mean = np.asarray(total / np.maximum(empty.sum(axis=1), 1), np.float64)
            has = np.asarray(empty.any(axis=1))
            found.append((f"the value of {channel} where nothing was measured", has, mean))
    return found


def _separation(known: _Labelled, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide the variance between activities by the variance within them, (K,)."""
    members = np.eye(known.n_classes)[known.labels]  # (N, C)
    centred = numbers - numbers.mean(axis=0)
    means = (members.T @ centred) / members.sum(axis=0)[:, None]
    between = (members.sum(axis=0)[:, None] * means**2).sum(axis=0)
    total = (centred**2).sum(axis=0)
    return np.where(total > 0, between / np.maximum(total - between, 1e-12 * total + 1e-300), 0.0)


def _tells_all(known: _Labelled, number: NDArray[np.float64]) -> tuple[bool, float, int]:
    """Decide if one number is a leak by the rule of :func:`label_shortcuts`; its balanced accuracy, and C."""
    c = known.n_classes

    def tree() -> _Model:
        model: _Model = DecisionTreeClassifier(max_leaf_nodes=2 * c, class_weight="balanced", random_state=0)
        return model

    predicted = _predict(known, number[:, None], tree)
    score = _balanced_accuracy(known.labels, predicted, c)
    if c >= _MANY:
        return score >= _TELLS_MANY, score, c
    return score >= _TELLS_FEW and _spread(known, number) <= _NEARLY_CONSTANT, score, c


def _spread(known: _Labelled, number: NDArray[np.float64]) -> float:
    """Divide the largest range (5 % to 95 %) within an activity by the smallest distance between two medians."""
    quantiles = np.array([np.quantile(number[known.labels == c], [0.05, 0.5, 0.95]) for c in range(known.n_classes)])
    distance = np.diff(np.sort(quantiles[:, 1])).min()
    return float((quantiles[:, 2] - quantiles[:, 0]).max() / distance) if distance > 0 else math.inf
