"""The first lines of a text table: how wide its rows are, and which setting would find a header that is not there."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from datamodules.recording import RecordingError
from datamodules.sources.manifest.csv_faults import python_rows
from datamodules.sources.manifest.spec import CsvSpec
from datamodules.sources.manifest.table import Wanted

_LOOKED_AT = 200  # lines
_LOOKED_AT_ROWS, _LEAST_GROUPED = 2000, 10
_SIGNS = "%#;!*/$>"


def row_width(header: Sequence[str], row: Sequence[str] | None) -> tuple[int, int]:
    """Columns of a row, and how many of the last of them are none: separators at each row's end make them.

    Args:
        header: names of the columns.
        row: the first one; None if there is none.
    """
    width = len(header)
    if row is not None and len(row) > width and not any(field.strip() for field in row[width:]):
        return len(row), len(row) - width
    if row is not None and len(row) < width and not any(name.strip() for name in header[len(row) :]):
        return len(row), 0
    return width, 0


def separator_hint(line: str, columns: int) -> str:
    """Which separator makes enough columns of a first line; "" for none."""
    signs = {";": "';'", "\t": '"\\t"', "|": "'|'", " ": "' '", ",": "','"}
    fitting = [shown for sign, shown in signs.items() if line.count(sign) >= columns - 1]
    return f" set csv.separator: {fitting[0]} if that separates them" if fitting else ""


def thousands_hint(path: Path, spec: CsvSpec, separator: str, skip: int, opener: Callable[[], BinaryIO] | None) -> str:
    """What is said of a column in which 1.225 follows 950: these are thousands, not decimals; "" for none."""
    point, other = spec.decimal, "," if spec.decimal == "." else "."
    grouped = re.compile(rf"[+-]?[1-9]\d{{0,2}}({re.escape(point)}\d{{3}})+")
    small = re.compile(r"[+-]?\d{1,3}")
    counts: dict[int, list[int]] = {}
    try:
        for line, fields in itertools.islice(python_rows(path, spec, separator, skip, opener), _LOOKED_AT_ROWS):
            for at, field in enumerate(fields):
                text = field.strip()
                kinds = counts.setdefault(at, [0, 0, 0, line])
                kinds[0 if grouped.fullmatch(text) else 1 if small.fullmatch(text) else 2] += bool(text)
                if kinds[0] == 1 and grouped.fullmatch(text):
                    kinds[3] = line
    except RecordingError:
        return ""
    for at, (many, few, others, line) in counts.items():
        if many >= _LEAST_GROUPED and few >= _LEAST_GROUPED and not others:
            return (
                f", line {line}, column {at + 1}: numbers with three digits behind '{point}' stand among whole numbers "
                f"below 1000, so '{point}' separates thousands: set csv.thousands: '{point}' and csv.decimal: '{other}'"
            )
    return ""


def header_hint(
    path: Path, spec: CsvSpec, separator: str, wanted: Sequence[Wanted], opener: Callable[[], BinaryIO] | None
) -> str:
    """Which setting would find the header, where another line names all the wanted columns; else ""."""
    names = {w.column.strip() for w in wanted if isinstance(w.column, str)}
    if not names or not spec.header:
        return ""
    signs: set[str] = set()
    try:
        for line, fields in itertools.islice(python_rows(path, spec, separator, spec.skip_lines, opener), _LOOKED_AT):
            if names <= {field.strip() for field in fields}:
                if len(signs) == 1 and "" not in signs and not spec.comment:
                    return f"; line {line} names them: set csv.comment: '{signs.pop()}' if that begins a comment"
                return f"; line {line} names them: set csv.skip_lines: {line - 1}" if line > spec.skip_lines + 1 else ""
            first = fields[0].lstrip()[:1]
            signs.add(first if first in _SIGNS else "")
    except RecordingError:
        return ""
    return ""
