"""Tables of numbers in text files, as older data sets come: one row a line, nothing but numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from datamodules.recording import FloatArray, RecordingError

T = TypeVar("T")

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
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise RecordingError(f"{path}: not there") from error
    return split_lines(content, path)


def split_lines(content: bytes, where: Path | str) -> list[Line]:
    """What :func:`read_lines` does, of bytes that were read from ``where``.

    Raises:
        RecordingError: there is nothing in them, or they are no ASCII text.
    """
    try:
        text = content.decode("ascii").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise RecordingError(
            f"{where}: not a text file: byte {error.start} is {error.object[error.start]:#x}"
        ) from error
    stripped = map(str.strip, text.split("\n"))
    lines = [Line(number, line) for number, line in enumerate(stripped, 1) if line]
    if not lines:
        raise RecordingError(f"{where}: there is nothing in it")
    return lines


def parse_integers(
    path: Path | str, lines: list[Line], columns: int, split: Callable[[str], list[str]]
) -> NDArray[np.int64]:
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
    rows = _rows(path, lines, columns, split, int, "whole numbers")
    try:
        return np.array(rows, np.int64).reshape(-1, columns)
    except OverflowError as error:
        raise RecordingError(f"{path}: a number in it does not fit 64 bits; no sensor gives such a value") from error


def parse_numbers(path: Path | str, lines: list[Line], columns: int, split: Callable[[str], list[str]]) -> FloatArray:
    """Lines of numbers as an array (N, columns), all finite; see :func:`parse_integers`.

    Raises:
        RecordingError: a line has another number of fields, or one that is no finite number; the message gives the
            file, the line's number and its beginning.
    """
    return np.array(_rows(path, lines, columns, split, _number, "numbers"), np.float64).reshape(-1, columns)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _rows(
    path: Path | str,
    lines: list[Line],
    columns: int,
    split: Callable[[str], list[str]],
    convert: Callable[[str], T],
    expected: str,
) -> list[list[T]]:
    rows: list[list[T]] = []
    for line in lines:
        fields = split(line.text)
        if len(fields) != columns:
            raise RecordingError(
                f"{path}, line {line.number}: {len(fields)} columns in '{line.text[:_SHOWN]}'; expected {columns}"
            )
        try:
            if "_" in line.text:  # Python takes 1_000 for a number
                raise ValueError(line.text)
            rows.append(list(map(convert, fields)))
        except ValueError as error:
            raise RecordingError(
                f"{path}, line {line.number}: '{line.text[:_SHOWN]}'; expected {columns} {expected}"
            ) from error
    return rows
