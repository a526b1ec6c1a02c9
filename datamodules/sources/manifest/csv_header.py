"""The first lines of a text table: how wide its rows are, and which setting would find a header that is not there."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from datamodules.recording import RecordingError
from datamodules.sources.manifest.csv_faults import python_rows
from datamodules.sources.manifest.spec import CsvSpec
from datamodules.sources.manifest.table import Wanted

_LOOKED_AT = 200  # lines
_SIGNS = "%#;!*/$>"


def row_width(header: Sequence[str], row: Sequence[str] | None) -> tuple[int, bool]:
    """Columns of a row, and whether the last of them is none: a separator at each row's end makes it.

    Args:
        header: names of the columns.
        row: the first one; None if there is none.
    """
    width = len(header)
    if row is not None and len(row) == width + 1 and not row[-1].strip():
        return width + 1, True
    if row is not None and len(row) == width - 1 and not header[-1].strip():
        return width - 1, False
    return width, False


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
