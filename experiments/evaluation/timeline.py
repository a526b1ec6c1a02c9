"""From scores of windows to what was done when: smoothing, ``unsure``, ``gap``, bouts.

Predictions for new recordings follow this rule, and so do the episodes that an evaluation counts. In this order:

1. A window without a score is ``gap``; its reason is the name of the rule that kept it out. Neighbouring ones of the
   same reason are one row.
2. Where the sensor was not worn, a window is ``non-wear``: at least half of it lies in a stretch that says so.
3. The probabilities of all other windows are smoothed: half of a window's own, a quarter of each direct neighbour's. A
   neighbour that is missing, a gap or non-wear has no part, and the others share its weight.
4. The activity is the likeliest one. Where its smoothed probability is below the threshold, the window is ``unsure``.
5. A bout is the longest run of windows of one activity with nothing between them, none of them unsure.

Shape legend: W windows, C classes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

SURE, UNSURE, GAP, NON_WEAR = "", "unsure", "gap", "non-wear"
UNSURE_BELOW = 0.5  # the likeliest activity is then less likely than all others together
REMAINDER = "remainder"  # less than a window is left at the end
_OWN, _NEIGHBOUR = 0.5, 0.25
_TOLERANCE_S = 1e-3

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Scores of consecutive windows.

    Attributes:
        starts: (W,) seconds, ascending.
        probabilities: (W, C) calibrated; NaN where a window could not be scored.
        reasons: (W,) why not, the name of a rule; empty where it was scored.
        end: of the recording, seconds: the time of its last sample.
        not_worn: (K, 2) stretches in which the sensor was not worn, seconds.
        dead: axes that never change, in words.
    """

    starts: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    reasons: NDArray[np.str_]
    end: float = np.nan
    not_worn: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 2)))
    dead: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """A stretch of a recording with one answer.

    Attributes:
        recording: name.
        start, end: seconds on the recording's clock.
        activity: the likeliest one; empty for ``gap`` and ``non-wear``.
        probability: calibrated and smoothed; NaN for ``gap`` and ``non-wear``.
        status: "" for a prediction, or ``unsure``, ``gap``, ``non-wear``.
        reason: of a gap.
    """

    recording: str
    start: float
    end: float
    activity: str
    probability: float
    status: str
    reason: str = ""

    @property
    def label(self) -> str:
        """The activity, or what is there instead of one."""
        return self.status or self.activity


@dataclass(frozen=True)
class Bout:
    """A run of windows of one activity.

    Attributes:
        recording: name.
        activity: name.
        start, end: seconds on the recording's clock.
        windows: number of windows.
        probability: mean of the windows'.
    """

    recording: str
    activity: str
    start: float
    end: float
    windows: int
    probability: float


def rows_of(
    recording: str,
    scores: Scores,
    classes: Sequence[str],
    duration_s: float,
    unsure_below: float = UNSURE_BELOW,
    smoothed: bool = True,
    not_worn: Floats | None = None,
) -> list[Row]:
    """Turn a recording's scores into rows, in the order of time.

    Args:
        recording: name.
        scores: of its windows.
        classes: activities, (C,).
        duration_s: length of a window.
        unsure_below: threshold of rule 4.
        smoothed: False leaves out rule 3.
        not_worn: (K, 2) stretches in which the sensor was not worn, seconds on the recording's clock.
    """
    starts, ends = scores.starts, scores.starts + duration_s
    off = _off(starts, ends, not_worn)
    missing = _missing(scores.probabilities)
    known = np.where((missing | off)[:, None], np.nan, scores.probabilities)
    likely = smooth(known, starts, duration_s) if smoothed else known
    rows: list[Row] = []
    for i, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        if off[i] or missing[i]:
            status, reason = (NON_WEAR, "") if off[i] else (GAP, str(scores.reasons[i]))
            _add(rows, Row(recording, start, end, "", np.nan, status, reason))
            continue
        best = int(np.argmax(likely[i]))
        value = float(likely[i, best])
        rows.append(Row(recording, start, end, classes[best], value, UNSURE if value < unsure_below else SURE))
    if rows and scores.end - rows[-1].end > _TOLERANCE_S:
        rows.append(Row(recording, rows[-1].end, scores.end, "", np.nan, GAP, REMAINDER))
    return rows


def smooth(probabilities: Floats, starts: Floats, duration_s: float) -> Floats:
    """Average each window's probabilities with those of its direct neighbours: rule 3.

    Args:
        probabilities: (W, C); NaN for windows that have none.
        starts: (W,) seconds, ascending.
        duration_s: of a window; neighbours follow each other by it.
    """
    there = ~_missing(probabilities)
    adjacent = (np.diff(starts) <= duration_s + _TOLERANCE_S) & there[1:] & there[:-1]
    total = np.where(there[:, None], _OWN * probabilities, 0.0)
    weight = np.full(len(starts), _OWN)
    before, after = np.flatnonzero(adjacent), np.flatnonzero(adjacent) + 1
    for own, other in ((before, after), (after, before)):
        total[own] += _NEIGHBOUR * probabilities[other]
        weight[own] += _NEIGHBOUR
    return np.where(there[:, None], total / weight[:, None], np.nan)


def bouts_of(rows: Sequence[Row]) -> Iterator[Bout]:
    """Join neighbouring rows of one activity: rule 5."""

    def follows(a: Row, b: Row) -> bool:
        same = a.recording == b.recording and a.label == b.label
        return same and b.start - a.end <= _TOLERANCE_S

    run: list[Row] = []
    for row in itertools.chain(rows, [None]):
        if run and (row is None or not follows(run[-1], row)):
            probability = float(np.mean([r.probability for r in run]))
            first = run[0]
            yield Bout(first.recording, first.activity, first.start, run[-1].end, len(run), probability)
            run = []
        if row is not None and row.status == SURE:
            run.append(row)


def _missing(probabilities: Floats) -> NDArray[np.bool_]:
    return np.asarray(np.isnan(probabilities).any(axis=1))


def _off(starts: Floats, ends: Floats, not_worn: Floats | None) -> NDArray[np.bool_]:
    """(W,) True where at least half of a window lies in stretches without wear."""
    covered = np.zeros(len(starts))
    for begin, end in np.empty((0, 2)) if not_worn is None else not_worn:
        covered += np.clip(np.minimum(ends, end) - np.maximum(starts, begin), 0, None)
    return np.asarray(covered >= 0.5 * (ends - starts))


def _add(rows: list[Row], row: Row) -> None:
    """Append a row without an activity, or lengthen the last one, if they are alike."""
    last = rows[-1] if rows else None
    alike = last is not None and (last.status, last.reason) == (row.status, row.reason)
    if last is not None and alike and row.start - last.end <= _TOLERANCE_S:
        rows[-1] = Row(last.recording, last.start, row.end, "", np.nan, last.status, last.reason)
    else:
        rows.append(row)
