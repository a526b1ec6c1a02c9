"""Text tables, read in bounded memory by Arrow, which is strict: no row is filled up, no text becomes NaN."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from datamodules.recording import RecordingError
from datamodules.sources.manifest.csv_faults import check_quotes, explain, python_rows
from datamodules.sources.manifest.spec import CsvSpec
from datamodules.sources.manifest.table import NUMBER, TEXT, Table, Wanted, positions
from datamodules.sources.manifest.units import TimeTextError, read_times

_BLOCK = 4 << 20  # bytes that Arrow parses at once


class CsvTable(Table):
    """A text table with the separator and header that its spec names."""

    def __init__(self, path: Path, spec: CsvSpec, wanted: Sequence[Wanted]) -> None:
        """Reads the header.

        Raises:
            RecordingError: the file is missing or empty, or lacks a column.
        """
        super().__init__(path, wanted)
        self._spec = spec
        self._separator = separator_of(path, spec)
        first = next(python_rows(path, spec, self._separator, spec.skip_lines), None)
        if first is None:
            raise RecordingError(f"{path}: there is nothing in it{' below the lines to skip' * bool(spec.skip_lines)}")
        line, fields = first
        self._width = len(fields)
        self._skip = spec.skip_lines
        if spec.header:
            # A name may be broken over lines; Arrow skips lines as they stand.
            self._skip = line + sum(field.count("\n") for field in fields) + spec.skip_below_header
        where = f"{path}, line {line}"
        if len(fields) == 1 and len(self.wanted) > 1:
            raise RecordingError(
                f"{where}: one column, {fields[0][:60]!r}, when {self._separator!r} separates columns; expected "
                f"{len({w.column for w in self.wanted})} or more (is the separator right?)"
            )
        self._positions = positions(self.wanted, fields if spec.header else None, self._width, where)

    def most_rows(self) -> int:
        """Line ends in the file, and one more."""
        ends = 1
        with self.path.open("rb") as file:
            while block := file.read(1 << 20):
                ends += block.count(b"\n") + block.count(b"\r")
        return ends

    def batches(self) -> Iterator[list[NDArray[Any]]]:
        """See :class:`Table`."""
        row = 0
        try:
            with self._open() as reader:
                for batch in reader:
                    try:
                        yield [self._convert(i, batch.column(self._name(p))) for i, p in enumerate(self._positions)]
                    except TimeTextError as error:
                        raise RecordingError(
                            f"{self.path}, {self.place(row + error.row)}: the time is {error.text[:60]!r}; "
                            "expected a date and time (iso8601) or h:m:s, as declared"
                        ) from error
                    row += batch.num_rows
            check_quotes(self.path, self._spec, self._separator, self._skip)
        except RecordingError:
            raise
        # Arrow's errors are ValueErrors and OSErrors of its own, those of a codec are ValueErrors.
        except (pa.ArrowException, ValueError, OSError) as error:
            wanted = list(zip(self.wanted, self._positions, strict=True))
            raise explain(self.path, self._spec, self._separator, self._skip, self._width, wanted, error) from error
        finally:
            pa.default_memory_pool().release_unused()  # Arrow would keep what it parsed a long file with

    def place(self, row: int) -> str:
        """``line 17``; reads the file up to there."""
        for at, (line, _) in enumerate(python_rows(self.path, self._spec, self._separator, self._skip)):
            if at == row:
                return f"line {line}"
        return f"row {row + 1}"

    def _open(self) -> pa.csv.CSVStreamingReader:
        spec = self._spec
        types = {
            self._name(p): pa.float64() if w.kind == NUMBER else pa.string()
            for w, p in zip(self.wanted, self._positions, strict=True)
        }
        return pa.csv.open_csv(
            str(self.path),
            read_options=pa.csv.ReadOptions(
                use_threads=False,  # a build has one process a core
                block_size=_BLOCK,
                skip_rows=self._skip,
                column_names=[self._name(i) for i in range(self._width)],
                encoding=spec.encoding,
            ),
            parse_options=pa.csv.ParseOptions(delimiter=self._separator),
            convert_options=pa.csv.ConvertOptions(
                column_types=types,
                include_columns=list(types),
                null_values=spec.null,
                strings_can_be_null=True,
                decimal_point=spec.decimal,
            ),
        )

    def _convert(self, index: int, column: pa.Array) -> NDArray[Any]:
        kind = self.wanted[index].kind
        if kind == NUMBER:
            return np.asarray(column.to_numpy(zero_copy_only=False), np.float64)
        if kind == TEXT:
            return self.vocabularies[index].encode(column)
        return read_times(column.to_pylist(), kind)

    @staticmethod
    def _name(position: int) -> str:
        return f"column {position}"  # a header's own names may be there twice


def separator_of(path: Path, spec: CsvSpec) -> str:
    """The declared one, or what is usual for the file's ending."""
    return spec.separator or ("\t" if path.suffix.lower() == ".tsv" else ",")
