"""Sealed slice of the tested subjects: earlier windows that may be labelled, and later ones that are tested.

A subject's recordings of one activity are repetitions of it. The first half of them, in the natural order of their
names, is earlier, and the rest is later. Recordings of several activities are halved in the same way, all together. A
recording that is alone of its kind is cut in time, with a gap: neighbours in time are nearly the same.

Shape legend: N windows of a data set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datamodules.labels.label_column import LabelColumn, among, distinct
from datamodules.labels.natural_order import natural_key
from experiments.evaluation.splits import Fold, LeakError, Table, draw_support

Indices = NDArray[np.int64]
_ROUNDING_S = 1e-6


@dataclass(frozen=True)
class SealedSlice:
    """Windows of tested subjects, ascending; some of the subjects' windows are in neither.

    Attributes:
        earlier: windows that may be labelled.
        later: windows that are tested.
    """

    earlier: Indices
    later: Indices


def sealed_slice(table: Table, tested: Indices, duration_s: float, gap_s: float) -> SealedSlice:
    """Halve the windows of tested subjects by trial or, where there is one trial only, by time.

    Args:
        table: ``subject``, ``recording``, ``activity`` and ``start_s``, (N,) each.
        tested: windows of the tested subjects, all with a label.
        duration_s: length of a window, seconds.
        gap_s: least time between the end of an earlier window and the start of a later one of the same recording.

    Raises:
        LeakError: the halves are not apart.
    """
    start = np.asarray(table["start_s"], np.float64)
    earlier, later = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for subject in sorted(distinct(table["subject"][tested]), key=natural_key):
        own = tested[among(table["subject"][tested], [subject])]
        for recordings in _kinds(table["recording"][own], table["activity"][own]):
            first = recordings[: len(recordings) // 2]
            windows = own[among(table["recording"][own], recordings)]
            if first:
                is_early = among(table["recording"][windows], first)
                earlier.append(windows[is_early])
                later.append(windows[~is_early])
            else:
                middle = np.sort(start[windows])[len(windows) // 2]
                earlier.append(windows[start[windows] + duration_s + gap_s <= middle + _ROUNDING_S])
                later.append(windows[start[windows] >= middle])
    found = SealedSlice(np.sort(np.concatenate(earlier)), np.sort(np.concatenate(later)))
    assert_apart(table, found, duration_s, gap_s)
    return found


def personal_windows(
    table: Table, fold: Fold, duration_s: float, gap_s: float, shots: int, key: Sequence[int | str]
) -> tuple[Indices, Indices, str]:
    """Choose which windows of a fold's tested subjects are tested, and which ones are labelled.

    Args:
        table: see :func:`sealed_slice`.
        fold: whose subjects are tested.
        duration_s: length of a window, seconds.
        gap_s: see :func:`sealed_slice`.
        shots: labelled windows per subject and activity; 0 takes all earlier windows.
        key: names of the draw.

    Returns:
        The tested windows, the labelled ones, and a note for readers.
    """
    found = sealed_slice(table, fold.test, duration_s, gap_s)
    drawn = [np.empty(0, np.int64)]
    for subject in distinct(table["subject"][found.earlier]):
        own = found.earlier[among(table["subject"][found.earlier], [subject])]
        drawn.append(draw_support(table, own, shots, [*key, subject])[0] if shots else own)
    note = (
        f"labels of the tested person: of trials before the tested ones, or {gap_s:g} s before them in one recording;"
        f" {len(found.later)} of {len(fold.test)} windows are later, and tested"
    )
    return found.later, np.sort(np.concatenate(drawn)), note


def _kinds(recordings: LabelColumn, activities: LabelColumn) -> list[list[str]]:
    """Group a subject's recordings by their activity; those of several activities are one group."""
    found: dict[str, list[str]] = {}
    for name in sorted(distinct(recordings), key=natural_key):
        shown = distinct(activities[among(recordings, [name])])
        found.setdefault(shown[0] if len(shown) == 1 else "", []).append(name)
    return list(found.values())


def assert_apart(table: Table, found: SealedSlice, duration_s: float, gap_s: float) -> None:
    """Refuse an earlier and a later window of one recording that are closer than the gap.

    Raises:
        LeakError: there are such windows; the message names the recording.
    """
    start = np.asarray(table["start_s"], np.float64)
    for name in set(distinct(table["recording"][found.earlier])) & set(distinct(table["recording"][found.later])):
        ends, starts = (
            start[windows[among(table["recording"][windows], [name])]] for windows in (found.earlier, found.later)
        )
        apart = float(starts.min() - ends.max() - duration_s)
        if apart < gap_s - _ROUNDING_S:
            raise LeakError(
                f"recording {name}: labelled and tested windows of one subject are {apart:.1f} s apart; expected at"
                f" least {gap_s:g} s"
            )
