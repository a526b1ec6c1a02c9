"""The first sheet of an Excel workbook as a table; needs the optional package openpyxl."""

from __future__ import annotations

import datetime
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from datamodules.recording import RecordingError
from datamodules.sources.manifest.errors import shown
from datamodules.sources.manifest.spec import CsvSpec
from datamodules.sources.manifest.stamps.text_times import TimeTextError
from datamodules.sources.manifest.table import NUMBER, TEXT, Table, Wanted, positions


class XlsxTable(Table):
    """A sheet of at most a million rows, which is read whole."""

    def __init__(self, path: Path, spec: CsvSpec, wanted: Sequence[Wanted]) -> None:
        """Reads the sheet; of ``spec``, header, lines to skip and what stands for nothing count.

        Raises:
            RecordingError: openpyxl is missing, or the file is, or it lacks a column.
        """
        super().__init__(path, wanted)
        try:
            import openpyxl
        except ImportError as error:
            raise RecordingError(
                f"{path}: to read .xlsx the package openpyxl is needed (pip install openpyxl), or save the sheet as CSV"
            ) from error
        try:
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
            rows = list(book.worksheets[0].iter_rows(values_only=True))
            book.close()
        except FileNotFoundError as error:
            raise RecordingError(f"{path}: not there") from error
        except (OSError, ValueError, KeyError, IndexError, zipfile.BadZipFile, EOFError, TypeError) as error:
            raise RecordingError(f"{path}: no Excel workbook that can be read: {str(error)[:200]}") from error
        numbered = [(n, row) for n, row in enumerate(rows, 1) if any(cell is not None for cell in row)]
        numbered = [(n, row) for n, row in numbered if n > spec.skip_lines]
        if not numbered:
            raise RecordingError(f"{path}: there is nothing in it")
        self._null = spec.null
        where = f"{path}, row {numbered[0][0]}"
        names = [str(cell) if cell is not None else "" for cell in numbered[0][1]] if spec.header else None
        self._positions = positions(self.wanted, names, len(numbered[0][1]), where)
        self._rows = numbered[1 + spec.skip_below_header :] if spec.header else numbered

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
        if entry.kind == NUMBER:
            return np.array([self._number(i, entry, cell) for i, cell in enumerate(cells)], np.float64)
        texts = [None if cell is None else _text(cell) for cell in cells]
        if entry.kind == TEXT:
            return self.vocabularies[index].encode(pa.array(texts, pa.string()))
        assert entry.time is not None
        return entry.time.read(texts)

    def _number(self, row: int, entry: Wanted, cell: object) -> float:
        if cell is None:
            return float("nan")
        if isinstance(cell, int | float) and not isinstance(cell, bool):
            return float(cell)
        raise RecordingError(
            f"{self.path}, {self.place(row)}, column {shown(entry.column)} ({entry.what}): found {shown(cell)}; "
            "expected a number"
        )


def _text(cell: object) -> str:
    if isinstance(cell, datetime.datetime | datetime.time):
        return cell.isoformat()
    return f"{cell:.15g}" if isinstance(cell, float) else str(cell)
