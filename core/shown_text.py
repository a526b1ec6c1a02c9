"""Text from data, as it may be shown: names can hold what a spreadsheet runs, or what a reader does not see.

A cell that begins with ``=`` is a formula to a spreadsheet; a bidi override turns the letters behind it round; an
escape sequence moves a terminal's cursor. Here is the one place that makes such text harmless, for all tables, pages
and messages that are written.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

# Controls but tab and line feed; bidi marks, overrides and isolates; line separators; what has no width; halves of
# characters, which are in names of files that are no UTF-8.
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_HIDDEN_SET = f"\x00-\x08\x0b-\x1f\x7f-\x9f{_BIDI}\u200b\u2028\u2029\u2060-\u2065\ufeff\ud800-\udfff"
_HIDDEN = re.compile(f"[{_HIDDEN_SET}\U000e0000-\U000e007f]")
_IN_A_CELL = re.compile(f"[{_HIDDEN_SET}\t\n\U000e0000-\U000e007f]|<(?=U\\+[0-9A-F]{{4,6}}>)")
_WRITTEN = re.compile(r"<U\+([0-9A-F]{4,6})>")
_FORMULA = tuple("=+-@'")  # and what a spreadsheet takes for one of them, see _begins_a_formula
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
_MARK = "'"


def visible(text: str) -> str:
    """Write hidden characters by their number, e.g. ``<U+202E>``; tabs and line ends stay."""
    return text if text.isascii() and text.isprintable() else _HIDDEN.sub(_number, text)


def cell(value: object) -> object:
    """Make a cell of a CSV file harmless; :func:`from_cell` gives the text back.

    Text that a spreadsheet would take for a formula gets a ``'`` in front, hidden characters become their numbers.
    What is no text, and text that is a plain number, stays as it is.
    """
    if not isinstance(value, str):
        return value
    text = _IN_A_CELL.sub(_number, value)
    return _MARK + text if _begins_a_formula(text) and not _NUMBER.fullmatch(text) else text


def from_cell(text: str) -> str:
    """Return the text that :func:`cell` made into this one."""
    text = text.removeprefix(_MARK)
    return _WRITTEN.sub(lambda found: chr(int(found[1], 16)), text)


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a table as CSV, each cell harmless."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([cell(name) for name in header])
    writer.writerows([cell(value) for value in row] for row in rows)
    return text.getvalue()


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read a table that this project wrote, with the names that the cells stand for."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [[from_cell(text) for text in row] for row in csv.reader(file)]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def safe_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose text is harmless in CSV; numbers are the same."""
    safe = frame.copy(deep=False)
    for name in frame.columns:
        column = frame[name]
        if column.dtype.kind not in "biufMm":
            # A long table has few different names.
            harmless: dict[Any, Any] = {value: cell(value) for value in column.unique()}
            if any(value is not new for value, new in harmless.items()):
                safe[name] = column.map(harmless)
    return safe.rename(columns=cell)


def _begins_a_formula(text: str) -> bool:
    # Spreadsheets skip blanks before a formula, and take wide forms of the signs for the signs.
    first = text.lstrip(" \u00a0\u3000")[:1]
    return bool(first) and unicodedata.normalize("NFKC", first).startswith(_FORMULA)


def _number(found: re.Match[str]) -> str:
    return f"<U+{ord(found[0]):04X}>"
