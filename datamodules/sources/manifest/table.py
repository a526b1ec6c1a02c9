"""Chosen columns of a table in a file, in batches: what CSV, Parquet and NPY have in common.

Shape legend: N rows of the table, n rows of a batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from core.suggestions import did_you_mean
from datamodules.recording import RecordingError
from datamodules.sources.manifest.errors import shown
from datamodules.sources.manifest.spec import Column
from datamodules.sources.manifest.spelling import composed
from datamodules.sources.manifest.stamps.text_times import TimeText, TimeTextError, likely_setting

NUMBER, TEXT, TIME = "number", "text", "time"
_MOST_NAMES = 10_000
_LISTED = 30  # columns that a message names


@dataclass(frozen=True)
class Wanted:
    """A column to read.

    Attributes:
        column: name, or position from 1.
        kind: ``NUMBER``, ``TEXT``, or ``TIME`` for a time written as text.
        what: what it is, for messages, e.g. "acceleration x".
        time: how a time is written.
        unit: that the manifest declares; empty where it has none.
    """

    column: Column
    kind: str
    what: str
    time: TimeText | None = None
    unit: str = ""


class Vocabulary:
    """Different texts of a column, numbered in the order in which they turn up."""

    def __init__(self, where: str, null: Sequence[str] = ()) -> None:
        """``where`` names file and column, for messages; ``null`` are texts that stand for none."""
        self._where, self._null = where, frozenset(null)
        self._codes: dict[str, int] = {}

    @property
    def names(self) -> list[str]:
        """By their numbers."""
        return list(self._codes)

    def encode(self, texts: pa.Array) -> NDArray[np.int32]:
        """Numbers of texts, -1 for none.

        Raises:
            RecordingError: so many differ that they can't be names of activities.
        """
        encoded = texts.dictionary_encode()
        numbers = []
        for text in encoded.dictionary.to_pylist():
            name = composed(str(text))
            # Blanks beside it, or another format than CSV, make no name of it.
            none = name in self._null
            numbers.append(-1 if none else self._codes.setdefault(name, len(self._codes)))
        if len(self._codes) > _MOST_NAMES:
            raise RecordingError(
                f"{self._where}: more than {_MOST_NAMES} different texts; expected the names of some activities"
            )
        indices = encoded.indices.fill_null(len(numbers)).to_numpy(zero_copy_only=False)
        return np.asarray(np.array([*numbers, -1], np.int32)[indices])


class Table(ABC):
    """An open table; ``batches`` yields, for each wanted column, float64 or (for texts) int32 numbers."""

    def __init__(self, path: Path, wanted: Sequence[Wanted], null: Sequence[str] = ()) -> None:
        """``null`` are texts that stand for a missing one."""
        self.path = path
        self.wanted = tuple(wanted)
        self.vocabularies = {
            i: Vocabulary(f"{path}, column {shown(w.column)} ({w.what})", null)
            for i, w in enumerate(self.wanted)
            if w.kind == TEXT
        }
        self.left_out: list[str] = []  # what of the file is not read, in words
        self.notes: list[str] = []  # what else is to be said of it
        self.names: list[str] = []  # of all its columns, where it names them
        self.restarts: list[int] = []  # rows before which the header is there again

    def bad_time(self, row: int, error: TimeTextError) -> RecordingError:
        """The message for a time that can't be read; ``row`` is the batch's first."""
        time = next((w.time for w in self.wanted if w.time is not None), None)
        likely = "" if error.hint else likely_setting(error.text, time)
        hint = error.hint or (
            f"; {likely}" if likely else self.hint_at(row + error.row) * (not any(c.isdigit() for c in error.text))
        )
        return RecordingError(
            f"{self.path}, {self.place(row + error.row)}: the time is {error.text[:60]!r}; expected "
            f"{time.expected if time is not None else 'a time'}, as declared{hint}"
        )

    def hint_at(self, row: int) -> str:
        """What may be wrong with a row that can't be read, for messages."""
        return ""

    @abstractmethod
    def most_rows(self) -> int:
        """N, or more where it can't be known."""

    @abstractmethod
    def batches(self) -> Iterator[list[NDArray[Any]]]:
        """Arrays (n,) in the order of ``wanted``; a number that is not there is NaN, a text -1.

        Raises:
            RecordingError: the file isn't what was declared; the message says where, what was found and expected.
        """

    @abstractmethod
    def place(self, row: int) -> str:
        """Where a row (from 0) is, for messages, e.g. ``line 17``."""


def read_all(table: Table) -> list[NDArray[Any]]:
    """All batches at once, for small tables."""
    parts = list(table.batches())
    return [
        np.concatenate([part[i] for part in parts]) if parts else np.empty(0, np.int32 if w.kind == TEXT else float)
        for i, w in enumerate(table.wanted)
    ]


def positions(wanted: Sequence[Wanted], names: Sequence[str] | None, width: int, where: str) -> list[int]:
    """Where the wanted columns are, from 0.

    Args:
        wanted: columns by name or number.
        names: what the file calls its columns; None if it doesn't.
        width: number of columns.
        where: file (and line of its header), for messages.

    Raises:
        RecordingError: there is no such column, or several of that name.
    """
    found = []
    for entry in wanted:
        column = entry.column
        if isinstance(column, int):
            if not 1 <= column <= width:
                raise RecordingError(f"{where}: {entry.what} should be column {shown(column)}; there are 1 to {width}")
            found.append(column - 1)
            continue
        if names is None:
            raise RecordingError(
                f"{where}: {entry.what} should be column {shown(column)}, but its columns have no names; expected a"
                f" number from 1 to {width}"
            )
        at = [i for i, name in enumerate(names) if name.strip() == column.strip()]
        if len(at) > 1:
            raise RecordingError(f"{where}: {len(at)} columns are named {shown(column)}; name it by its number instead")
        if not at:
            listed = ", ".join(shown(n.strip())[1:-1] for n in names[:_LISTED]) + (", ..." if width > _LISTED else "")
            raise RecordingError(
                f"{where}: no column {shown(column)} ({entry.what}){did_you_mean(column, names)} (there are: {listed})"
            )
        found.append(at[0])
    return found


def counts_columns(header: Sequence[str]) -> bool:
    """Whether names are 0, 1, 2, ... or 1, 2, 3, ..., as pandas names columns that have no names."""
    return list(header) in ([str(i + first) for i in range(len(header))] for first in (0, 1))


def check_header(wanted: Sequence[Wanted], header: Sequence[str], numbers: Sequence[bool], where: str) -> None:
    """Refuse a first row of data that would be taken for the columns' names, and be lost.

    Where columns are given by numbers, nothing else shows it. Names that hold numbers and times in all the columns that
    should have them below are none.

    Args:
        wanted: columns by name or number.
        header: the line of names, or what is taken for it.
        numbers: which of them are numbers.
        where: file and line, for messages.

    Raises:
        RecordingError: it is a row of data.
    """
    measured = [entry for entry in wanted if entry.kind != TEXT]
    if not measured or counts_columns(header) or not all(isinstance(entry.column, int) for entry in wanted):
        return
    for entry in measured:
        at = int(entry.column) - 1
        if not 0 <= at < len(header):
            return
        if entry.kind == NUMBER and not numbers[at]:
            return
        if entry.time is not None and not entry.time.reads(header[at]):
            return
    first = measured[0]
    raise RecordingError(
        f"{where}: {header[int(first.column) - 1][:60]!r} ({first.what}) where the columns' names are expected, so "
        "this row would be lost: set csv.header: false"
    )
