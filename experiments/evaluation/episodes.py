"""Metrics over time: windows in which the activity changes apart from others, and whole episodes of a rare event.

An episode is answered where there is a bout of the event, by the rule that predictions for new recordings follow:
:mod:`experiments.evaluation.timeline`. It is found if a bout overlaps it. A bout that overlaps none is a false alarm.

Shape legend: M tested windows, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.evaluation.metrics import balanced_accuracy, confusion_matrix
from experiments.evaluation.moments import PURE, TRANSITION, Moments
from experiments.evaluation.timeline import Scores, bouts_of, rows_of

Span = tuple[float, float]
_TOLERANCE_S = 1e-3


def transition_metrics(
    truth: NDArray[np.int64], scores: NDArray[np.float64], moments: Moments, windows: NDArray[np.int64]
) -> dict[str, float]:
    """Measure windows that hold one activity all through, and windows in which it changes.

    Args:
        truth: (M,) positions in the classes.
        scores: (M, C).
        moments: of the M windows.
        windows: places of the windows to measure, e.g. those of one subject.

    Returns:
        ``accuracy_pure``, ``balanced_accuracy_pure``, the same for ``_transition``, and ``transition_share``, the
        share of windows in which the activity changes. Empty without any such window.
    """
    kinds = moments.kinds[windows]
    known = int((kinds == PURE).sum() + (kinds == TRANSITION).sum())
    if not (kinds == TRANSITION).any():
        return {}
    metrics = {"transition_share": float((kinds == TRANSITION).sum()) / known}
    for kind, name in ((PURE, "pure"), (TRANSITION, "transition")):
        own = windows[kinds == kind]
        if len(own):
            counts = confusion_matrix(truth[own], scores[own].argmax(axis=1), scores.shape[1])
            metrics[f"accuracy_{name}"] = float(counts.trace() / counts.sum())
            metrics[f"balanced_accuracy_{name}"] = balanced_accuracy(counts)
    return metrics


def episode_metrics(
    scores: NDArray[np.float64],
    moments: Moments,
    windows: NDArray[np.int64],
    event: int,
    name: str,
    smoothed: bool = True,
) -> dict[str, float]:
    """Measure whole episodes of a rare event, e.g. of freezing.

    Only recordings whose true stretches are known count. An episode counts if a tested window overlaps it.

    Args:
        scores: (M, C).
        moments: of the M windows.
        windows: places of the windows to measure, e.g. those of one subject.
        event: position of the event in the classes.
        name: its name among the true stretches.
        smoothed: smooth probabilities over neighbouring windows.

    Returns:
        ``episodes``, their number; ``episode_false_alarms_per_hour``; and where there are episodes
        ``episode_sensitivity``, the share that was found; where any with a known begin was found ``onset_error_s``,
        the mean distance of a bout's begin from the episode's, and ``onset_delay_s``, the same with its sign (late is
        positive). A begin is known if the recording's tested windows begin before it. A bout over several episodes
        has the begin of the first. Empty if no recording is known.
    """
    recordings = moments.recordings[windows]
    episodes, found, alarms, hours = 0, 0, 0, 0.0
    delays: list[float] = []
    for number in np.unique(recordings).tolist():
        if not moments.stretches[number]:
            continue
        own = windows[recordings == number]
        own = own[np.argsort(moments.starts[own], kind="stable")]
        watched = _joined(moments.starts[own], moments.duration_s)
        bouts = _bouts(scores[own], moments.starts[own], moments.duration_s, event, smoothed)
        true = [(begin, end) for begin, end, activity in moments.stretches[number] if activity == name]
        true = [span for span in true if any(_overlap(span, other) for other in watched)]
        episodes += len(true)
        found += sum(any(_overlap(span, bout) for bout in bouts) for span in true)
        hours += len(own) * moments.duration_s / 3600
        for bout in bouts:
            met = [span for span in true if _overlap(span, bout)]
            alarms += not met
            begins = [begin for begin, _ in watched]
            if met and met[0][0] > begins[0] + _TOLERANCE_S and _first(bout, met[0], bouts):
                delays.append(bout[0] - met[0][0])
    if not hours:
        return {}
    metrics = {"episodes": float(episodes), "episode_false_alarms_per_hour": alarms / hours}
    if episodes:
        metrics["episode_sensitivity"] = found / episodes
    if delays:
        metrics["onset_error_s"] = float(np.abs(delays).mean())
        metrics["onset_delay_s"] = float(np.mean(delays))
    return metrics


def _bouts(
    scores: NDArray[np.float64], starts: NDArray[np.float64], duration_s: float, event: int, smoothed: bool
) -> list[Span]:
    """Bouts of the event in one recording, in the order of time."""
    classes = [str(number) for number in range(scores.shape[1])]
    given = Scores(starts, scores, np.full(len(starts), "", "U16"))
    bouts = bouts_of(rows_of("", given, classes, duration_s, smoothed=smoothed))
    return [(bout.start, bout.end) for bout in bouts if bout.activity == str(event)]


def _joined(starts: NDArray[np.float64], duration_s: float) -> list[Span]:
    """Join windows that follow each other into the stretches that they watch."""
    spans: list[Span] = []
    for start in starts.tolist():
        if spans and start <= spans[-1][1] + _TOLERANCE_S:
            spans[-1] = (spans[-1][0], start + duration_s)
        else:
            spans.append((start, start + duration_s))
    return spans


def _overlap(one: Span, other: Span) -> bool:
    return min(one[1], other[1]) - max(one[0], other[0]) > _TOLERANCE_S


def _first(bout: Span, episode: Span, bouts: Sequence[Span]) -> bool:
    """Whether no earlier bout met the same episode."""
    return next(other for other in bouts if _overlap(episode, other)) == bout
