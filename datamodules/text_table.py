"""Tables of whole numbers in text files, as older data sets come: one row a line, nothing but numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datamodules.recording import RecordingError

_SHOWN = 60  # characters of a bad line that a message repeats


@dataclass(frozen=True)
class Line:
    """A line that is not blank: its number in the file, from 1, and its text without blanks at either end."""

    number: int
    text: str


def read_lines(path: Path) -> list[Line]:
    """All lines that are not blank; how they end does not matter, nor whether the last one does.

    Raises:
        RecordingError: the file isn't there, holds nothing, or is no ASCII text.
    """
    try:
        text = path.read_text(encoding="ascii")
    except FileNotFoundError as error:
        raise RecordingError(f"{path}: not there") from error
    except UnicodeDecodeError as error:
        raise RecordingError(
            f"{path}: not a text file: byte {error.start} is {error.object[error.start]:#x}"
        ) from error
    stripped = map(str.strip, text.split("\n"))
    lines = [Line(number, line) for number, line in enumerate(stripped, 1) if line]
    if not lines:
        raise RecordingError(f"{path}: there is nothing in it")
    return lines


def parse_integers(path: Path, lines: list[Line], columns: int, split: Callable[[str], list[str]]) -> NDArray[np.int64]:
    """Lines of whole numbers as an array (N, columns).

    Args:
        path: where the lines come from, for messages.
        lines: N lines.
        columns: numbers that each has.
        split: a line's text -> its fields; blanks around them do not matter.

    Raises:
        RecordingError: a line has another number of fields, or one that is no whole number; the message gives the
            file, the line's number and its beginning.
    """
    rows: list[list[int]] = []
    for line in lines:
        fields = split(line.text)
        if len(fields) != columns:
            raise RecordingError(
                f"{path}, line {line.number}: {len(fields)} columns in '{line.text[:_SHOWN]}'; expected {columns}"
            )
        try:
            rows.append(list(map(int, fields)))
        except ValueError as error:
            raise RecordingError(
                f"{path}, line {line.number}: '{line.text[:_SHOWN]}'; expected {columns} whole numbers"
            ) from error
    try:
        return np.array(rows, np.int64).reshape(-1, columns)
    except OverflowError as error:
        raise RecordingError(f"{path}: a number in it does not fit 64 bits; no sensor gives such a value") from error
