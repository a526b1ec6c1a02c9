"""Labels: a table of intervals, or a column with an activity a sample."""

from __future__ import annotations

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
from datamodules.sources.manifest.stamps.order import DAY_S
from datamodules.sources.manifest.table import NUMBER, TEXT, TIME, Table, Wanted, read_all
from datamodules.sources.manifest.tables import open_table

_LABEL_GAP_S = 1.0  # a label of samples does not reach over a longer stretch without any


def read_intervals(path: Path, spec: LabelsSpec, offsets: set[bool] | None = None) -> list[Interval]:
    """The intervals of a table, in its order; times as they stand there, in seconds.

    Args:
        path: the table.
        spec: what it means.
        offsets: takes whether times with an offset from UTC, and times without one, were read.

    Raises:
        RecordingError: the table isn't what was declared; the message names file, line, what was found and expected.
    """
    text = units.text_of(spec) if units.is_text(spec) else None
    kind = NUMBER if text is None else TIME
    wanted = [
        Wanted(spec.start, kind, "start", text),
        Wanted(spec.end, kind, "end", text),
        Wanted(spec.activity, TEXT, "activity"),
    ]
    table = open_table(path, "auto", spec.csv, wanted)
    starts, ends, codes = read_all(table)
    scale = units.SECONDS.get(spec.unit, 1.0) if text is None else 1.0
    if text is not None and not text.dated:
        _pass_midnight(starts, ends)
    names = _activities(table.vocabularies[2].names, spec, table, codes)
    intervals = []
    for row, (start, end, code) in enumerate(zip(starts * scale, ends * scale, codes, strict=True)):
        if code < 0:
            raise RecordingError(f"{path}, {table.place(row)}: no activity; expected a name")
        # Written so that NaN fails too.
        if not (end > start and np.isfinite(start) and np.isfinite(end)):
            raise RecordingError(
                f"{path}, {table.place(row)}: from {start} to {end} s; expected an end after the start"
            )
        if names[code] is not None:
            intervals.append(Interval(float(start), float(end), str(names[code])))
    if offsets is not None:
        since_1970 = text is None and starts.size and units.counts_from_1970(starts, spec)
        offsets |= text.offsets if text is not None else {True} if since_1970 else set()
    return intervals


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
