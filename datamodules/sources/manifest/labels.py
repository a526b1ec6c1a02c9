"""Labels: a table of intervals, or a column with an activity a sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.suggestions import did_you_mean
from datamodules.recording import FloatArray, Interval, RecordingError
from datamodules.signal import find_gaps
from datamodules.sources.manifest import units
from datamodules.sources.manifest.spec import LabelsSpec
from datamodules.sources.manifest.spelling import composed
from datamodules.sources.manifest.stamps.order import DAY_S, HOUR_S, is_there_twice
from datamodules.sources.manifest.table import NUMBER, TEXT, TIME, Table, Wanted, read_all
from datamodules.sources.manifest.tables import open_table

_LISTED = 10  # values that a message names
_LABEL_GAP_S = 1.0  # a label of samples does not reach over a longer stretch without any


@dataclass
class LabelFacts:
    """What a table of labels says besides its intervals.

    Attributes:
        offsets: whether times with an offset from UTC, and times without one, were read.
        two_parts: all its times of day are like 20:30, which can be hours and minutes, or minutes and seconds.
        notes: what is to be said of it.
    """

    offsets: set[bool] = field(default_factory=set)
    two_parts: bool = False
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Owner:
    """Whose rows are looked for, where a table may have those of several recordings.

    Attributes:
        mine: what tells the recording from others, e.g. subject -> P1. Where a column is named so, only the rows with
            this value in it are the recording's.
        shared: recordings that have this table.
        alone: no other recording has it.
        known: values that some recording has; a row with none of them is named. Empty where that is not asked.
    """

    mine: Mapping[str, str] = field(default_factory=dict)
    shared: int = 1
    alone: bool = False
    known: Mapping[str, frozenset[str]] = field(default_factory=dict)


def read_intervals(
    path: Path, spec: LabelsSpec, facts: LabelFacts | None = None, owner: Owner | None = None
) -> list[Interval]:
    """The intervals of a table, in its order; times as they stand there, in seconds.

    Args:
        path: the table.
        spec: what it means.
        facts: takes what else the table says.
        owner: the recording, where others may have rows in this table.

    Raises:
        RecordingError: the table isn't what was declared; the message names file, line, what was found and expected.
    """
    facts, owner = facts or LabelFacts(), owner or Owner()
    text = units.text_of(spec) if units.is_text(spec) else None
    kind = NUMBER if text is None else TIME
    wanted = [
        Wanted(spec.start, kind, "start", text),
        Wanted(spec.end, kind, "end", text),
        Wanted(spec.activity, TEXT, "activity"),
    ]
    table = open_table(path, "auto", spec.csv, wanted)
    own = {entry.column for entry in wanted}
    telling = [name for name in owner.mine if name not in own and name in [there.strip() for there in table.names]]
    if telling:
        table = open_table(
            path, "auto", spec.csv, [*wanted, *(Wanted(name, TEXT, "whose row it is") for name in telling)]
        )
    elif owner.shared > 1:
        facts.notes.append(
            f"{path.name} has the labels of {owner.shared} recordings, and no column "
            f"{' or '.join(map(repr, owner.mine))} says whose a row is: each recording takes all of them"
        )
    starts, ends, codes, *whose = read_all(table)
    names = _activities(table.vocabularies[2].names, spec, table, codes)
    rows = _rows_of(owner, telling, whose, starts.size, table, spec, facts)
    starts, ends, codes = starts[rows], ends[rows], codes[rows]
    scale = units.SECONDS.get(spec.unit, 1.0) if text is None else 1.0
    if text is not None and not text.dated:
        _pass_midnight(starts, ends)
    elif text is not None and spec.zone and False in text.offsets and (twice := _pass_twice(starts, ends, spec.zone)):
        facts.notes.append(
            f"{twice} labels lie in the hour that is there twice (end of daylight saving): which one is told by their "
            "order, and by when the sensor measured; their offset from UTC (+01:00) would leave no doubt"
        )
    intervals = []
    for row, start, end, code in zip(rows.tolist(), starts * scale, ends * scale, codes, strict=True):
        if code < 0:
            raise RecordingError(f"{path}, {table.place(row)}: no activity; expected a name")
        # Written so that NaN fails too.
        if not (end > start and np.isfinite(start) and np.isfinite(end)):
            raise RecordingError(
                f"{path}, {table.place(row)}: from {start} to {end} s; expected an end after the start"
            )
        if names[code] is not None:
            intervals.append(Interval(float(start), float(end), str(names[code])))
    since_1970 = text is None and starts.size and units.counts_from_1970(starts, spec)
    facts.offsets |= text.offsets if text is not None else {True} if since_1970 else set()
    facts.two_parts = text is not None and text.two_parts
    return intervals


def _rows_of(
    owner: Owner,
    telling: list[str],
    whose: list[NDArray[np.int32]],
    size: int,
    table: Table,
    spec: LabelsSpec,
    facts: LabelFacts,
) -> NDArray[np.intp]:
    """Numbers of a recording's rows, by the columns that say whose a row is."""
    good: NDArray[np.bool_] = np.ones(size, bool)
    for at, (name, codes) in enumerate(zip(telling, whose, strict=True), 3):
        texts, value = table.vocabularies[at].names, owner.mine[name]
        if owner.alone and len(texts) == 1 and texts[0] != value:
            facts.notes.append(f"{table.path.name}: {name} is '{texts[0]}' in every row, '{value}' in the files' names")
            continue
        if name in owner.known and (left := [text for text in texts if text not in owner.known[name]]):
            many = int(np.isin(codes, [texts.index(text) for text in left]).sum())
            listed = ", ".join(map(repr, left[:_LISTED]))
            facts.notes.append(f"{many} rows of {table.path.name} are of no recording of this group: {name} {listed}")
        if (blank := codes < 0).any():
            raise RecordingError(
                f"{table.path}, {table.place(int(np.argmax(blank)))}: nothing in column '{name}' says whose row it is; "
                "expected it in every row"
            )
        good &= codes == (texts.index(value) if value in texts else -2)
        if not good.any() and not spec.optional:
            raise RecordingError(
                f"{table.path}: no row has '{value}' in column '{name}'{did_you_mean(value, texts)} (there are: "
                f"{', '.join(texts[:_LISTED])}); if some recordings have no labels, set labels.optional: true"
            )
    return np.flatnonzero(good)


def label_of_names(text: str, spec: LabelsSpec, where: str) -> str | None:
    """The activity of a whole recording, from its files' names; None for no label.

    Raises:
        RecordingError: ``labels.names`` doesn't have it.
    """
    text = composed(text)
    named = {composed(key): name for key, name in spec.names.items()}
    if text in [composed(none) for none in spec.unlabelled]:
        return None
    if named and text not in named:
        known = [*spec.names, *spec.unlabelled]
        raise RecordingError(
            f"{where}: the activity is '{text[:60]}'{did_you_mean(text, known)}; expected one of {', '.join(known)} "
            "(labels.names and labels.unlabelled)"
        )
    return named.get(text, text)


def _pass_midnight(starts: FloatArray, ends: FloatArray) -> None:
    """Times of day go on behind midnight, in place: rows in order, each ending after its start."""
    day = 0.0
    for row in range(starts.size):
        if row and starts[row] + day < starts[row - 1] - DAY_S / 2:
            day += DAY_S
        starts[row] += day
        ends[row] += day
        if ends[row] < starts[row] - DAY_S / 2:
            ends[row] += DAY_S


def _pass_twice(starts: FloatArray, ends: FloatArray, zone: str) -> int:
    """Of an hour that is there twice, all times are taken for the first; put right in place what goes back then.

    Returns:
        How many labels begin or end in such an hour.
    """
    found = 0
    for row, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        start_twice, end_twice = (np.isfinite(t) and is_there_twice(t, zone) for t in (start, end))
        found += start_twice or end_twice
        if start_twice and row and 0 < starts[row - 1] - start < HOUR_S:
            starts[row] += HOUR_S
        if end_twice and ends[row] <= starts[row]:
            ends[row] += HOUR_S
    return found


def intervals_of_samples(
    times: FloatArray, codes: NDArray[np.int32], texts: list[str], spec: LabelsSpec, path: Path
) -> list[Interval]:
    """Runs of one activity; each ends where the next sample is, or would be.

    Args:
        times: (N,) seconds, ascending.
        codes: (N,) numbers of ``texts``, -1 for none.
        texts: what stands in the column.
        spec: what it means.
        path: for messages.

    Raises:
        RecordingError: a text has no name.
    """
    names = _activities(texts, spec, path, codes)
    step = float(np.median(np.diff(times)))
    gaps = np.searchsorted(times, find_gaps(times, max(_LABEL_GAP_S, 3 * step))[:, 1])
    first = np.unique(np.concatenate([[0], np.flatnonzero(np.diff(codes)) + 1, gaps]))
    after = np.append(first[1:], times.size)
    at_gap = np.isin(after, gaps)
    intervals = []
    for a, b, gap in zip(first, after, at_gap, strict=True):
        name = names[codes[a]] if codes[a] >= 0 else None
        if name is not None:
            end = times[b] if b < times.size and not gap else times[b - 1] + step
            intervals.append(Interval(float(times[a]), float(end), name))
    return intervals


def _activities(texts: list[str], spec: LabelsSpec, where: Table | Path, codes: NDArray[Any]) -> list[str | None]:
    """The activity that each text stands for; None for no label."""
    names: list[str | None] = []
    named = {composed(key): name for key, name in spec.names.items()}
    unlabelled = [composed(text) for text in spec.unlabelled]
    for code, text in enumerate(texts):
        if text in unlabelled or (not text and isinstance(where, Path)):
            names.append(None)
            continue
        if named and text not in named:
            row = int(np.argmax(codes == code))
            place = f"{where.path}, {where.place(row)}" if isinstance(where, Table) else f"{where}, row {row + 1}"
            known = [*spec.names, *spec.unlabelled]
            raise RecordingError(
                f"{place}: the activity is '{text[:60]}'{did_you_mean(text, known)}; expected one of "
                f"{', '.join(known)} (labels.names and labels.unlabelled)"
            )
        name = named.get(text, text)
        if not name:
            raise RecordingError(
                f"{where.path if isinstance(where, Table) else where}: an activity is blank; expected a name"
            )
        names.append(name)
    return names
