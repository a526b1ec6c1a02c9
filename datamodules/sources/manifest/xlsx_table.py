"""A sheet of an Excel workbook as a table; needs the optional package openpyxl."""

from __future__ import annotations

import contextlib
import datetime
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from core.bounds import check_unpacked
from datamodules.recording import RecordingError
from datamodules.sources.manifest.errors import shown
from datamodules.sources.manifest.spec import CsvSpec
from datamodules.sources.manifest.stamps.text_times import TimeText, TimeTextError
from datamodules.sources.manifest.table import NUMBER, TEXT, Table, Wanted, check_header, positions

_Row = tuple[Any, ...]
_MOST_ROWS = 1 << 20  # that a sheet can have
_CELL_BYTES = 8  # at least, of each cell up to the last one of a row that is not empty
# What openpyxl, and what unpacks for it, raise for a damaged file. RuntimeError: it is encrypted. SyntaxError: its XML.
_BROKEN = (
    OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, EOFError, MemoryError, RuntimeError,
    SyntaxError, zipfile.BadZipFile, zlib.error, lzma.LZMAError,
)  # fmt: skip
_LOOKED_AT = 50  # rows above a header
_YEARS = range(1700, 2200)


class XlsxTable(Table):
    """A sheet of at most a million rows, which is read whole."""

    def __init__(self, path: Path, spec: CsvSpec, wanted: Sequence[Wanted]) -> None:
        """Reads the sheet; of ``spec``, header, lines to skip and what stands for nothing count.

        Raises:
            RecordingError: openpyxl is missing, or the file is, or it lacks a column.
        """
        super().__init__(path, wanted, spec.null)
        try:
            import openpyxl
        except ImportError as error:
            raise RecordingError(
                f"{path}: to read .xlsx the package openpyxl is needed (pip install openpyxl), or save the sheet as CSV"
            ) from error
        try:
            with zipfile.ZipFile(path) as archive:
                check_unpacked(sum(entry.file_size for entry in archive.infolist()), path.stat().st_size)
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
            sheets = {sheet.title: list(self._bounded(sheet)) for sheet in book.worksheets}
            book.close()
        except FileNotFoundError as error:
            raise RecordingError(f"{path}: not there") from error
        except RecordingError:
            raise
        except _BROKEN as error:
            raise RecordingError(f"{path}: no Excel workbook that can be read: {str(error)[:200]}") from error
        if not sheets:
            raise RecordingError(f"{path}: no sheet in it")
        numbered = self._sheet(sheets, spec)
        if not numbered:
            raise RecordingError(f"{path}: there is nothing in it")
        self._null, self._decimal, self._thousands = spec.null, spec.decimal, spec.thousands
        where = f"{path}, row {numbered[0][0]}"
        names = _names(numbered[0][1]) if spec.header else None
        if names is not None:
            numbers = [isinstance(cell, int | float) for cell in numbered[0][1]]
            check_header(self.wanted, names, numbers, where)
        self.names = names or []
        try:
            self._positions = positions(self.wanted, names, len(numbered[0][1]), where)
        except RecordingError as error:
            below = next((n for n, row in numbered[1:_LOOKED_AT] if spec.header and self._has_columns(row)), 0)
            hint = f"; row {below} names them: set csv.skip_lines: {below - 1}" if below else ""
            raise RecordingError(f"{error}{hint}") from error
        self._rows = numbered[1 + spec.skip_below_header :] if spec.header else numbered

    def _bounded(self, sheet: Any) -> Iterator[_Row]:
        """Rows up to what a sheet can have: one row with a number too large brings as many empty ones before it."""
        cells = 0
        for number, row in enumerate(sheet.iter_rows(values_only=True), 1):
            if number > _MOST_ROWS:
                raise RecordingError(
                    f"{self.path}, sheet '{sheet.title}': a row beyond {_MOST_ROWS:,}; expected at most as many as a "
                    "sheet can have"
                )
            cells += len(row)
            check_unpacked(cells * _CELL_BYTES, self.path.stat().st_size)
            yield row

    def _sheet(self, sheets: dict[str, list[_Row]], spec: CsvSpec) -> list[tuple[int, _Row]]:
        """The rows of the first sheet; of another one if that alone has the columns."""
        numbered = {
            title: [
                (n, row) for n, row in enumerate(rows, 1) if n > spec.skip_lines and any(c is not None for c in row)
            ]
            for title, rows in sheets.items()
        }
        first = next(iter(numbered))
        if not spec.header or len(numbered) == 1:
            return numbered[first]
        having = [title for title, rows in numbered.items() if rows and self._has_columns(rows[0][1])]
        chosen = having[0] if having and (first in having or len(having) == 1) else first
        if others := [title for title in having if title != chosen]:
            self.left_out.append(f"sheet {', '.join(map(repr, others))}, which has the same columns as '{chosen}'")
        return numbered[chosen]

    def _has_columns(self, row: _Row) -> bool:
        there = {name.strip() for name in _names(row)}
        return all(w.column.strip() in there for w in self.wanted if isinstance(w.column, str))

    def most_rows(self) -> int:
        """N."""
        return len(self._rows)

    def batches(self) -> Iterator[list[NDArray[Any]]]:
        """See :class:`Table`."""
        if not self._rows:
            raise RecordingError(f"{self.path}: no row of data below its header")
        try:
            yield [self._convert(i, p) for i, p in enumerate(self._positions)]
        except TimeTextError as error:
            raise self.bad_time(0, error) from error

    def place(self, row: int) -> str:
        """``row 17``, as the sheet counts."""
        return f"row {self._rows[row][0]}" if row < len(self._rows) else f"row {row + 1}"

    def _convert(self, index: int, position: int) -> NDArray[Any]:
        entry = self.wanted[index]
        cells = [row[position] if position < len(row) else None for _, row in self._rows]
        cells = [None if isinstance(cell, str) and cell.strip() in self._null else cell for cell in cells]
        if all(cell is None for cell in cells) and (formula := self._formula(position)):
            raise RecordingError(
                f"{self.path}, {self.place(0)}, column {shown(entry.column)} ({entry.what}): the formula "
                f"{formula[:40]!r} without a stored value: open the workbook in a spreadsheet program and save it, or "
                "save it as CSV"
            )
        if entry.kind == NUMBER:
            return np.array([self._number(i, entry, cell) for i, cell in enumerate(cells)], np.float64)
        if entry.kind == TEXT:
            return self.vocabularies[index].encode(
                pa.array([None if c is None else _text(c) for c in cells], pa.string())
            )
        assert entry.time is not None
        return _times(cells, entry.time)

    def _number(self, row: int, entry: Wanted, cell: object) -> float:
        if cell is None:
            return float("nan")
        if isinstance(cell, int | float) and not isinstance(cell, bool):
            with contextlib.suppress(OverflowError):  # Python's integers have no end
                return float(cell)
        where = f"{self.path}, {self.place(row)}, column {shown(entry.column)} ({entry.what})"
        if isinstance(cell, datetime.datetime | datetime.time | datetime.timedelta):
            unit = "iso8601" if isinstance(cell, datetime.datetime) else "h:m:s"
            raise RecordingError(
                f"{where}: found {cell}; expected a number (set the unit to {unit} for a column of times)"
            )
        if isinstance(cell, str):
            with contextlib.suppress(ValueError):
                return float(self._plain(cell.strip()))
        raise RecordingError(f"{where}: found {shown(cell)}; expected a number, or what csv.null names for none")

    def _plain(self, text: str) -> str:
        """A number's text as Python writes it; raises a ValueError where its signs are not as declared."""
        if self._thousands:
            sign, point = re.escape(self._thousands), re.escape(self._decimal)
            groups = rf"[+-]?(\d{{1,3}}({sign}\d{{3}})+|\d*)({point}\d*)?([eE][+-]?\d+)?"
            if not re.fullmatch(groups, text):
                raise ValueError(text)
            text = text.replace(self._thousands, "")
        if self._decimal != ".":
            if "." in text:
                raise ValueError(text)
            text = text.replace(self._decimal, ".")
        return text

    def _formula(self, position: int) -> str:
        """The formula in the first row's cell, of a workbook that no program has computed; "" for none."""
        import openpyxl

        try:
            book = openpyxl.load_workbook(self.path, read_only=True)
            first = self._rows[0][0]
            for sheet in book.worksheets:
                for row in sheet.iter_rows(min_row=first, max_row=first, values_only=True):
                    if position < len(row) and isinstance(row[position], str) and str(row[position]).startswith("="):
                        return str(row[position])
        except _BROKEN:
            return ""
        return ""


def _names(row: _Row) -> list[str]:
    return [str(cell) if cell is not None else "" for cell in row]


def _times(cells: Sequence[object], time: TimeText) -> NDArray[np.float64]:
    """Seconds of cells. A date's or time's value counts, not how it is shown, which may lack its seconds."""
    own = [_seconds_of_day(cell, time) for cell in cells]
    # Other years don't fit into 64 bits of nanoseconds: as text they are refused.
    dates = np.array([isinstance(c, datetime.datetime) and time.dated and c.year in _YEARS for c in cells], bool)
    texts = [
        None if cell is None or date or seconds is not None else _text(cell)
        for cell, date, seconds in zip(cells, dates, own, strict=True)
    ]
    found = np.array([np.nan if seconds is None else seconds for seconds in own], np.float64)
    if any(text is not None for text in texts):
        read = time.read(texts)
        found = np.where(np.isnan(found), read, found)
    if dates.any():
        stamps = np.array([cell if date else None for cell, date in zip(cells, dates, strict=True)], "datetime64[us]")
        nanoseconds = stamps.astype("datetime64[ns]").astype(np.int64)
        found[dates] = time.read_stamps(nanoseconds, ~dates, False)[dates]
    return found


def _seconds_of_day(cell: object, time: TimeText) -> float | None:
    """Of a cell that holds a time of day, where such times are declared; or of one that holds a length of time."""
    if time.dated:
        return None
    if isinstance(cell, datetime.timedelta):
        return cell.total_seconds()
    if isinstance(cell, datetime.datetime) and time.format:
        cell = cell.time()
    if isinstance(cell, datetime.time):
        return cell.hour * 3600 + cell.minute * 60 + cell.second + cell.microsecond / 1e6
    return None


def _text(cell: object) -> str:
    if isinstance(cell, datetime.datetime | datetime.time):
        return cell.isoformat()
    return f"{cell:.15g}" if isinstance(cell, float) else str(cell)
