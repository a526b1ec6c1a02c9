"""Parquet and NPY files as tables."""

from __future__ import annotations

import tokenize
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from core.bounds import TooMuchError, check_unpacked
from datamodules.recording import RecordingError
from datamodules.sources.manifest.errors import shown
from datamodules.sources.manifest.stamps.text_times import TimeText, TimeTextError
from datamodules.sources.manifest.table import NUMBER, TEXT, Table, Wanted, positions

_ROWS = 1 << 16  # of a batch
_BUFFER = 1 << 20  # bytes of a column that are read at once
# What reading wrong bytes raises beside each library's own error: both turn some of their errors into those of Python.
_OF_PYTHON = (OSError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, MemoryError, RecursionError)
_ARROW_ERRORS = (pa.ArrowException, NotImplementedError, *_OF_PYTHON)
# numpy reads the header as Python text, and takes what begins as a zip file for one.
_NPY_ERRORS = (EOFError, SyntaxError, tokenize.TokenError, zipfile.BadZipFile, *_OF_PYTHON)


class ParquetTable(Table):
    """A Parquet file; only flat columns are read."""

    def __init__(self, path: Path, wanted: Sequence[Wanted], null: Sequence[str] = ()) -> None:
        """Reads the schema; ``null`` are texts that stand for a missing one.

        Raises:
            RecordingError: the file is missing or damaged, or lacks a column.
        """
        super().__init__(path, wanted, null)
        _exists(path)
        try:
            # Neither a map nor Arrow's own buffers, which keep what was read: a week's file has gigabytes.
            self._file = pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)
            self._schema = self._file.schema_arrow
            self._rows = int(self._file.metadata.num_rows)
        except _ARROW_ERRORS as error:
            raise RecordingError(f"{path}: no Parquet file that can be read: {_first_line(error)}") from error
        names = list(self._schema.names)
        self.names = names
        self._names = [names[p] for p in positions(self.wanted, names, len(names), str(path))]
        for entry, name in zip(self.wanted, self._names, strict=True):
            if names.count(name) > 1:
                raise RecordingError(f"{path}: {names.count(name)} columns are named {shown(name)}; expected one")
            self._check_type(entry, self._schema.field(name).type)
        self._check_size()

    def most_rows(self) -> int:
        """N, as the file states it."""
        return self._rows

    def batches(self) -> Iterator[list[NDArray[Any]]]:
        """See :class:`Table`."""
        row = 0
        try:
            columns = list(dict.fromkeys(self._names))
            for batch in self._file.iter_batches(batch_size=_ROWS, columns=columns, use_threads=False):
                try:
                    yield [self._convert(i, batch.column(name)) for i, name in enumerate(self._names)]
                except TimeTextError as error:
                    raise self.bad_time(row, error) from error
                row += batch.num_rows
        except RecordingError:
            raise
        except _ARROW_ERRORS as error:
            raise RecordingError(f"{self.path}: damaged after row {row}: {_first_line(error)}") from error

    def place(self, row: int) -> str:
        """``row 17``."""
        return f"row {row + 1}"

    def _check_size(self) -> None:
        """Refuse a file that unpacks to far more than it has: zeros of a whole column take a few bytes."""
        metadata = self._file.metadata
        # Not of the wanted columns alone: what a damaged file says of a column can end the process within pyarrow.
        stated = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
        as_floats = self._rows * len(self.wanted) * 8
        try:
            check_unpacked(max(stated, as_floats), self.path.stat().st_size)
        except TooMuchError as error:
            raise RecordingError(f"{self.path}: {self._rows:,} rows: {error}") from error

    def _check_type(self, entry: Wanted, found: pa.DataType) -> None:
        number = pa.types.is_integer(found) or pa.types.is_floating(found) or pa.types.is_decimal(found)
        text = pa.types.is_string(found) or pa.types.is_large_string(found) or pa.types.is_dictionary(found)
        if entry.kind == NUMBER:
            good, expected = number, "numbers"
            if pa.types.is_timestamp(found):
                expected = "numbers (declare the unit iso8601 for a column of dates and times)"
        elif entry.kind == TEXT:
            good, expected = text or number, "names of activities"
        else:
            good = pa.types.is_string(found) or pa.types.is_large_string(found)
            good = good or (entry.time is not None and entry.time.dated and pa.types.is_timestamp(found))
            expected = f"dates and times, or text that is {entry.time.expected if entry.time else 'a time'}"
        if not good:
            raise RecordingError(
                f"{self.path}, column {shown(entry.column)} ({entry.what}): it holds {found}; expected {expected}"
            )

    def _convert(self, index: int, column: pa.Array) -> NDArray[Any]:
        kind = self.wanted[index].kind
        if kind == NUMBER:
            return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
        if kind == TEXT:
            if pa.types.is_dictionary(column.type):
                column = column.dictionary_decode()
            if not pa.types.is_string(column.type):
                column = pa.array([_name_of(v) for v in column.to_pylist()], pa.string())
            return self.vocabularies[index].encode(column)
        if pa.types.is_timestamp(column.type):
            stamps = column.cast(pa.timestamp("ns", column.type.tz)).cast(pa.int64())
            missing = stamps.is_null().to_numpy(zero_copy_only=False)
            nanoseconds = pc.fill_null(stamps, 0).to_numpy(zero_copy_only=False)
            return _time(self.wanted[index]).read_stamps(nanoseconds, missing, column.type.tz is not None)
        return _time(self.wanted[index]).read(column.to_pylist())


class NpyTable(Table):
    """An array (N, columns) of numbers, or a structured one with named fields."""

    def __init__(self, path: Path, wanted: Sequence[Wanted], null: Sequence[str] = ()) -> None:
        """Maps the file; ``null`` are texts that stand for a missing one.

        Raises:
            RecordingError: the file is missing, damaged, or no such array.
        """
        super().__init__(path, wanted, null)
        _exists(path)
        try:
            with np.errstate(over="ignore"):  # the product of an absurd shape; numpy refuses it afterwards
                self._array = np.load(path, mmap_mode="r", allow_pickle=False)
        except _NPY_ERRORS as error:
            raise RecordingError(f"{path}: no NPY file that can be read: {_first_line(error)}") from error
        if not isinstance(self._array, np.ndarray):
            raise RecordingError(f"{path}: an archive of several arrays; expected one array in an .npy file")
        names = self._array.dtype.names
        if names is not None:
            if self._array.ndim != 1:
                raise RecordingError(f"{path}: a structured array of shape {self._array.shape}; expected (N,)")
        elif self._array.ndim != 2:
            raise RecordingError(f"{path}: an array of shape {self._array.shape}; expected (N, columns)")
        width = len(names) if names is not None else self._array.shape[1]
        self._positions = positions(self.wanted, names, width, str(path))
        for entry, position in zip(self.wanted, self._positions, strict=True):
            dtype = self._array.dtype[position] if names is not None else self._array.dtype
            dated = entry.time is not None and entry.time.dated
            kinds = {NUMBER: "iuf", TEXT: "iufU"}.get(entry.kind, "UM" if dated else "U")
            if dtype.kind not in kinds or dtype.shape:
                expected = "numbers" if entry.kind == NUMBER else "text"
                raise RecordingError(
                    f"{path}, column {shown(entry.column)} ({entry.what}): it holds {dtype}; expected {expected}"
                )

    def most_rows(self) -> int:
        """N."""
        return len(self._array)

    def batches(self) -> Iterator[list[NDArray[Any]]]:
        """See :class:`Table`."""
        names = self._array.dtype.names
        for first in range(0, len(self._array), _ROWS):
            part = self._array[first : first + _ROWS]
            columns = [part[names[p]] if names is not None else part[:, p] for p in self._positions]
            try:
                yield [self._convert(i, column) for i, column in enumerate(columns)]
            except TimeTextError as error:
                raise self.bad_time(first, error) from error

    def place(self, row: int) -> str:
        """``row 17``."""
        return f"row {row + 1}"

    def _convert(self, index: int, column: NDArray[Any]) -> NDArray[Any]:
        kind = self.wanted[index].kind
        if kind == NUMBER:
            return np.asarray(column, np.float64)
        if kind == TEXT:
            return self.vocabularies[index].encode(pa.array([_name_of(v) for v in column.tolist()], pa.string()))
        if column.dtype.kind == "M":
            nanoseconds = column.astype("datetime64[ns]").astype(np.int64)
            return _time(self.wanted[index]).read_stamps(nanoseconds, np.isnat(column), False)
        return _time(self.wanted[index]).read(column.tolist())


def _time(entry: Wanted) -> TimeText:
    assert entry.time is not None
    return entry.time


def _exists(path: Path) -> None:
    if not path.is_file():
        raise RecordingError(f"{path}: not there")
    if path.stat().st_size == 0:
        raise RecordingError(f"{path}: there is nothing in it")


def _name_of(value: object) -> str | None:
    """A label as text: 2.0 is '2'; None and NaN are none."""
    if value is None or value != value:
        return None
    return f"{value:.15g}" if isinstance(value, float) else (str(value) or None)


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0][:200] if text else type(error).__name__
