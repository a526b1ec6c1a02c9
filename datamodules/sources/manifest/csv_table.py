"""Text tables, read in bounded memory by Arrow, which is strict: no row is filled up, no text becomes NaN."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from numpy.typing import NDArray

from datamodules.recording import RecordingError
from datamodules.sources.manifest.csv_faults import check_quotes, explain, python_rows
from datamodules.sources.manifest.csv_header import header_hint, row_width, separator_hint, thousands_hint
from datamodules.sources.manifest.file_kind import file_kind
from datamodules.sources.manifest.spec import CsvSpec
from datamodules.sources.manifest.stamps.text_times import TimeTextError
from datamodules.sources.manifest.table import NUMBER, TEXT, Table, Wanted, check_header, counts_columns, positions
from datamodules.sources.manifest.text_bytes import Salvage, check_readable
from datamodules.sources.manifest.wide_text import width_of

_BLOCK = 4 << 20  # bytes that Arrow parses at once


class CsvTable(Table):
    """A text table with the separator and header that its spec names."""

    def __init__(self, path: Path, spec: CsvSpec, wanted: Sequence[Wanted], salvage: bool = False) -> None:
        """Reads the header.

        Args:
            path: the file.
            spec: how it is written.
            wanted: columns to read.
            salvage: leave out, and name, what a logger leaves when it loses power or is started again.

        Raises:
            RecordingError: the file is missing or empty, or lacks a column.
        """
        super().__init__(path, wanted, spec.null)
        self._spec = spec
        self._separator = separator_of(path, spec)
        check_readable(path)
        if _keeps_ascii(spec) and (kind := file_kind(path)) and not path.name.lower().endswith(".gz"):
            raise RecordingError(f"{path}: no text table in {spec.encoding}; it is {kind}")
        self._looked = salvage
        # Comments and packed files need it, too, but nothing is left out of a table of labels.
        unlike = bool(spec.comment) or path.name.lower().endswith(".gz")
        readable = (salvage or unlike) and (_keeps_ascii(spec) or width_of(spec.encoding) > 1)
        self._salvage = Salvage(path, self._separator, spec.comment, spec.encoding) if readable else None
        if self._salvage and width_of(spec.encoding) > 1:
            spec = self._spec = replace(spec, encoding="utf-8")
        self._opener: Callable[[], BinaryIO] | None = self._salvage.open if self._salvage else None
        first = next(python_rows(path, spec, self._separator, spec.skip_lines, self._opener), None)
        if first is None:
            raise RecordingError(f"{path}: there is nothing in it{' below the lines to skip' * bool(spec.skip_lines)}")
        line, fields = first
        self._skip = spec.skip_lines
        if spec.header:
            # A name may be broken over lines; Arrow skips lines as they stand.
            self._skip = line + sum(field.count("\n") for field in fields) + spec.skip_below_header
        where = f"{path}, line {line}"
        if len(fields) == 1 and len(self.wanted) > 1:
            raise RecordingError(
                f"{where}: one column, {fields[0][:60]!r}, when {self._separator!r} separates columns; expected "
                f"{len({w.column for w in self.wanted})} or more (is the separator right?"
                f"{separator_hint(fields[0], len({w.column for w in self.wanted}))})"
                f"{header_hint(path, spec, self._separator, self.wanted, self._opener)}"
            )
        names = [field.strip().strip('"').strip() for field in fields] if spec.header else None
        if names is not None:
            numbers = [_is_number(name, spec) for name in names]
            if len(names) > 1 and all(numbers) and not counts_columns(names):
                raise RecordingError(
                    f"{where}: numbers where the columns' names are expected: set csv.header: false, and give columns "
                    "by their numbers from 1 on"
                )
            check_header(self.wanted, names, numbers, where)
        self.names = names or []
        self._width, self._empty = len(fields), 0
        if names is not None and salvage:
            row = next(python_rows(path, spec, self._separator, self._skip, self._opener), None)
            self._width, self._empty = row_width(names, row[1] if row else None)
            if not spec.thousands and (hint := thousands_hint(path, spec, self._separator, self._skip, self._opener)):
                raise RecordingError(f"{path}{hint}")
        try:
            self._positions = positions(self.wanted, names, len(fields), where)
        except RecordingError as error:
            hint = header_hint(path, spec, self._separator, self.wanted, self._opener) if spec.header else ""
            raise RecordingError(f"{error}{hint}") from error
        if self._salvage and self._looked:
            self._salvage.look(self._skip, self._salvage.line(line) if spec.header else b"", self._width)
            self.left_out, self.restarts = self._salvage.left_out, self._salvage.restarts

    def most_rows(self) -> int:
        """Line ends in the file, and one more."""
        if self._salvage and self._looked:
            return self._salvage.line_ends
        ends = 1
        with self._opener() if self._opener else self.path.open("rb") as file:
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
                        columns = [self._convert(i, batch.column(self._name(p))) for i, p in enumerate(self._positions)]
                    except TimeTextError as error:
                        raise self.bad_time(row, error) from error
                    for column in range(self._width - self._empty, self._width):
                        self._check_empty(batch.column(self._name(column)), row)
                    yield columns
                    row += batch.num_rows
            if not (self._salvage and self._salvage.needed and self._looked):
                check_quotes(self.path, self._spec, self._separator, self._skip, self._opener)
        except RecordingError:
            raise
        # Arrow's errors are ValueErrors and OSErrors of its own, those of a codec are ValueErrors.
        except (pa.ArrowException, ValueError, OSError) as error:
            wanted = list(zip(self.wanted, self._positions, strict=True))
            raise explain(
                self.path, self._spec, self._separator, self._skip, self._width, wanted, error, self._opener
            ) from error
        finally:
            pa.default_memory_pool().release_unused()  # Arrow would keep what it parsed a long file with

    def place(self, row: int) -> str:
        """``line 17``; reads the file up to there."""
        rows = python_rows(self.path, self._spec, self._separator, self._skip, self._opener)
        for at, (line, _) in enumerate(rows):
            if at == row:
                return f"line {line}"
        return f"row {row + 1}"

    def hint_at(self, row: int) -> str:
        """Where the first row is none of the table's, it may be one of units."""
        if row or not self._spec.header:
            return ""
        total = self._spec.skip_below_header + 1
        return f" (is that line one of units? set csv.skip_below_header: {total})"

    def _open(self) -> pa.csv.CSVStreamingReader:
        spec = self._spec
        types = {
            self._name(p): pa.float64() if w.kind == NUMBER and not spec.thousands else pa.string()
            for w, p in zip(self.wanted, self._positions, strict=True)
        }
        for column in range(self._width - self._empty, self._width):
            types.setdefault(self._name(column), pa.string())
        return pa.csv.open_csv(
            self._salvage.open() if self._salvage and self._salvage.needed else str(self.path),
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
        entry = self.wanted[index]
        if entry.kind == NUMBER:
            if self._spec.thousands:
                column = self._without_thousands(column)
            return np.asarray(column.to_numpy(zero_copy_only=False), np.float64)
        if entry.kind == TEXT:
            return self.vocabularies[index].encode(column)
        assert entry.time is not None
        return entry.time.read(column.to_pylist())

    def _without_thousands(self, texts: pa.Array) -> pa.Array:
        sign, point = self._spec.thousands, self._spec.decimal
        digits = f"[{sign}]".join([r"\d{1,3}", r"\d{3}"])
        groups = rf"^[ \t]*[+-]?({digits}([{sign}]\d{{3}})*|\d*)([{point}]\d*)?([eE][+-]?\d+)?[ \t]*$"
        good = pc.fill_null(pc.match_substring_regex(texts, groups), True)
        if not pc.all(good).as_py():
            raise ValueError("a number whose thousands are not as declared")  # ``explain`` finds and names it
        plain = pc.replace_substring(pc.replace_substring(texts, sign, ""), point, ".")
        return pc.cast(pc.utf8_trim_whitespace(plain), pa.float64())

    def _check_empty(self, column: pa.Array, row: int) -> None:
        there = pc.fill_null(pc.not_equal(pc.utf8_trim_whitespace(column), ""), False)
        if pc.any(there).as_py():
            at = int(np.argmax(there.to_numpy(zero_copy_only=False)))
            raise RecordingError(
                f"{self.path}, {self.place(row + at)}: {self._width} columns, the last of them "
                f"{column[at].as_py()[:60]!r}; the first line has {self._width - self._empty}"
            )

    @staticmethod
    def _name(position: int) -> str:
        return f"column {position}"  # a header's own names may be there twice


def separator_of(path: Path, spec: CsvSpec) -> str:
    """The declared one, or what is usual for the file's ending."""
    name = path.name.lower().removesuffix(".gz")
    return spec.separator or ("\t" if name.endswith(".tsv") else ",")


def _keeps_ascii(spec: CsvSpec) -> bool:
    return not codecs.lookup(spec.encoding).name.startswith(("utf-16", "utf-32", "utf-7", "utf_16", "utf_32"))


def _is_number(text: str, spec: CsvSpec) -> bool:
    try:
        float(text.replace(spec.decimal, "."))
    except ValueError:
        return False
    return True
