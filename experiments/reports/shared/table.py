"""Tables of all reports, as texts in cells; Markdown and HTML are made from them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table without any layout.

    Attributes:
        title: title of the numbers, with flags and unit.
        rows_are: heading of the first column.
        columns: headings of the other columns.
        rows: texts; an empty text stands for no value.
        note: explanation for readers; may be empty.
    """

    title: str
    rows_are: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
