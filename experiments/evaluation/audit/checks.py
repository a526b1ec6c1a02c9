"""Checks of a target before its evaluation.

Some findings would make results better than they should be, and are refused:

- windows of one recording on both sides of a fold;
- the same movement on both sides, or under the names of two subjects
  (:mod:`experiments.evaluation.audit.duplicates`);
- a single number that tells the label (:mod:`experiments.evaluation.audit.shortcuts`).

Facts about the recordings that tell the label are only reported with the results.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from datamodules.labels.label_column import numbered
from experiments.evaluation.audit.duplicates import Duplicate, Read, find_duplicates
from experiments.evaluation.audit.shortcuts import LEAK, Finding, label_shortcuts, recording_codes
from experiments.evaluation.splits import LeakError, Table
from experiments.evaluation.targets import Target
from experiments.settings.evaluation import EvaluationConfig

Sides = Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]

_NAMED = 5  # examples in a message


def audit_target(target: Target, evaluation: EvaluationConfig) -> list[str]:
    """List everything that is doubtful about a target, in plain sentences.

    Args:
        target: the target.
        evaluation: settings of the folds; with ``allow_leaks`` a leak is reported, not refused.

    Raises:
        LeakError: there is a leak; the message describes it.
        SplitError: the target can't be split as asked.
    """
    sides = [(fold.pool, fold.test) for fold in target.folds(evaluation)]
    settings = target.shards.settings
    findings = audit_windows(target.shards.table, target.shards.imu, sides, settings.imu_rate_hz, settings.duration_s)
    leaks = [finding.text for finding in findings if finding.severity == LEAK]
    if leaks and not evaluation.allow_leaks:
        raise LeakError(
            f"target '{target.name}': {'; '.join(leaks)}; mend the data, or set evaluation.allow_leaks=true, and every"
            " table will say so"
        )
    return [f"a leak, allowed: {f.text}" if f.severity == LEAK else f.text for f in findings]


def audit_windows(table: Table, read: Read, sides: Sides, rate_hz: float, duration_s: float) -> list[Finding]:
    """List all findings about the windows of some folds, leaks first.

    Args:
        table: columns with one row for each window of the data set: ``subject``, ``recording``, ``activity``,
            ``start_s``, and, where there are any, ``placement``, ``device`` and ``faults``.
        read: function that reads samples (N, T, 6), sample mask (N, T) and channel mask (N, 6) of windows.
        sides: for each fold, the numbers of the windows that give labels, and of the tested windows.
        rate_hz: samples per second.
        duration_s: length of a window, seconds.
    """
    findings: list[Finding] = []
    for assert_apart in (
        partial(assert_no_shared_recordings, table, sides, duration_s),
        partial(assert_no_duplicates, table, read, sides, rate_hz),
    ):
        try:
            assert_apart()
        except LeakError as error:
            findings.append(Finding(LEAK, str(error)))
    return findings + label_shortcuts(table, read, _all_windows(sides), duration_s)


def assert_no_shared_recordings(table: Table, sides: Sides, duration_s: float) -> None:
    """Refuse windows of one recording on both sides of a fold: neighbours in time are nearly the same.

    Arguments and shapes are those of :func:`audit_windows`.

    Raises:
        LeakError: there are such windows; the message names recordings, subjects and the shortest time between sides.
    """
    recording = recording_codes(table)
    start = np.asarray(table["start_s"], np.float64)
    for fold, (support, test) in enumerate(sides):
        both = np.intersect1d(recording[support], recording[test])
        if not both.size:
            continue
        examples = []
        for code in both[:_NAMED]:
            given, tested = support[recording[support] == code], test[recording[test] == code]
            gap = max(0.0, float(np.abs(start[given][:, None] - start[tested]).min()) - duration_s)
            window = tested[0]
            examples.append(
                f"recording {table['recording'][window]} (subject {table['subject'][window]}), {gap:.1f} s apart"
            )
        raise LeakError(
            f"fold {fold}: {both.size} recordings give labels and are tested, among them {'; '.join(examples)};"
            " expected each recording, and each subject, on one side only"
        )


def assert_no_duplicates(table: Table, read: Read, sides: Sides, rate_hz: float) -> None:
    """Refuse the same movement on both sides of a fold, or anywhere under the names of two subjects.

    Arguments and shapes are those of :func:`audit_windows`.

    Raises:
        LeakError: there are duplicates; the message names recordings, subjects and times.
    """
    windows = _all_windows(sides)
    subjects = numbered(table["subject"])[1]
    duplicates = find_duplicates(read, windows, subjects[windows], rate_hz)
    for support, test in sides:
        # Where a placement is held out, both sides share subjects. Their movements must differ all the same.
        shared = np.intersect1d(subjects[support], subjects[test])
        if shared.size:
            given, tested = support[np.isin(subjects[support], shared)], test[np.isin(subjects[test], shared)]
            both = np.intersect1d(given, tested)
            if both.size:
                raise LeakError(f"{both.size} windows give labels and are tested, the first is {_name(table, both[0])}")
            side = np.repeat([0, 1], [given.size, tested.size])
            duplicates += find_duplicates(read, np.concatenate([given, tested]), side, rate_hz)
    if duplicates:
        raise LeakError(
            f"{len({duplicate.first for duplicate in duplicates})} windows show the same movement as windows of another"
            f" side or subject: a movement was recorded once, and is in the data twice: {_describe(table, duplicates)}"
        )


def _describe(table: Table, duplicates: Sequence[Duplicate]) -> str:
    """Give one example for each pair of recordings."""
    recording = recording_codes(table)
    pairs: dict[tuple[int, int], Duplicate] = {}
    for duplicate in duplicates:
        pairs.setdefault((int(recording[duplicate.first]), int(recording[duplicate.second])), duplicate)
    examples = [f"{_name(table, c.first)} and {_name(table, c.second)}" for c in pairs.values()]
    more = f"; and {len(examples) - _NAMED} more pairs of recordings" if len(examples) > _NAMED else ""
    return "; ".join(examples[:_NAMED]) + more


def _name(table: Table, window: int) -> str:
    return (
        f"recording {table['recording'][window]} (subject {table['subject'][window]})"
        f" at {table['start_s'][window]:.1f} s"
    )


def _all_windows(sides: Sides) -> NDArray[np.int64]:
    return np.unique(np.concatenate([np.empty(0, np.int64), *(part for pair in sides for part in pair)]))
