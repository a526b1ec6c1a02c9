"""Faults of text tables, each with its line.

Arrow reads fast and names no lines. Where it refuses a table, Python's own csv module goes through the file until it
finds the fault.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from datamodules.recording import RecordingError
from datamodules.sources.manifest.errors import shown
from datamodules.sources.manifest.spec import CsvSpec
from datamodules.sources.manifest.stamps.text_times import likely_setting
from datamodules.sources.manifest.table import NUMBER, Wanted

_SHOWN = 60
_MOST_ABOVE = 20  # lines of units and the like between header and rows
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}")
_CLOCK = re.compile(r"(\d{1,4}:)?\d{1,2}:\d{1,2}([.,]\d+)?")
_MULTIBYTE = ("utf-16", "utf-32", "utf-7")


def python_rows(
    path: Path, spec: CsvSpec, separator: str, skip: int, opener: Callable[[], BinaryIO] | None = None
) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of every row that is not blank, by Python's csv module.

    Args:
        path: the file.
        spec: how it is written.
        separator: between columns.
        skip: lines to leave out first.
        opener: of the bytes to read; None reads the file as it stands.

    Raises:
        RecordingError: the file is not there, or not in its encoding.
    """
    encoding = "utf-8-sig" if codecs.lookup(spec.encoding).name == "utf-8" else spec.encoding
    line = skip
    try:
        with io.TextIOWrapper(opener() if opener else path.open("rb"), encoding=encoding, newline="") as file:
            # As Arrow does: lines are skipped as they stand, before anything is parsed.
            for _ in range(skip):
                if not file.readline():
                    return
            reader = csv.reader(file, delimiter=separator)
            for fields in reader:
                if fields:
                    yield line + 1, fields
                line = skip + reader.line_num
    except FileNotFoundError as error:
        raise RecordingError(f"{path}: not there") from error
    except OSError as error:
        raise RecordingError(f"{path}: can't be read: {error.strerror or error}") from error
    except UnicodeError as error:
        raise _wrong_encoding(path, spec.encoding, error) from error
    except csv.Error as error:
        raise RecordingError(f"{path}, line {line + 1}: no row of a table: {error}") from error


def check_quotes(
    path: Path, spec: CsvSpec, separator: str, skip: int, opener: Callable[[], BinaryIO] | None = None
) -> None:
    """Refuse a file that ends within quotes: Arrow takes what there is for the last value, or for none.

    Args:
        path: the file, which could be read.
        spec: how it is written.
        separator: between columns.
        skip: lines above the data.
        opener: of the bytes to read; None reads the file as it stands.

    Raises:
        RecordingError: it does.
    """
    quotes = 0
    with opener() if opener else path.open("rb") as file:
        while block := file.read(1 << 20):
            quotes += block.count(b'"')
    if quotes % 2 == 0:
        return
    with io.TextIOWrapper(opener() if opener else path.open("rb"), encoding=spec.encoding, newline="") as text:
        for _ in range(skip):
            text.readline()
        reader = csv.reader(text, delimiter=separator, strict=True)
        row = skip
        try:
            for _ in reader:
                row = skip + reader.line_num
        except csv.Error as error:
            # A quote inside of a value is odd, too, and harmless.
            if "unexpected end" in str(error):
                raise RecordingError(
                    f"{path}, line {row + 1}: the file ends within quotes that are opened there; was it cut off?"
                ) from error


def explain(
    path: Path,
    spec: CsvSpec,
    separator: str,
    skip: int,
    width: int,
    wanted: Sequence[tuple[Wanted, int]],
    error: Exception,
    opener: Callable[[], BinaryIO] | None = None,
) -> RecordingError:
    """The error of the first row that is not as it should be.

    Args:
        path: the file.
        spec: how it should be written.
        separator: between columns.
        skip: lines above the data.
        width: columns that each row should have.
        wanted: columns that were read, and where they are, from 0.
        error: Arrow's own, used where no fault is found here.
        opener: of the bytes to read; None reads the file as it stands.
    """
    point = re.escape(spec.decimal)
    digits = rf"(\d{{1,3}}({re.escape(spec.thousands)}\d{{3}})+|\d+)" if spec.thousands else r"\d+"
    number = re.compile(
        rf"[+-]?({digits}({point}\d*)?|{point}\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE
    )
    rows = 0
    try:
        for line, fields in python_rows(path, spec, separator, skip, opener):
            rows += 1
            where = f"{path}, line {line}"
            if len(fields) != width:
                return RecordingError(
                    f"{where}: {len(fields)} columns in {printable(separator.join(fields))!r}; the first line has "
                    f"{width}{_comment_hint(fields, spec)}"
                )
            for column, position in wanted:
                text = fields[position]
                if column.kind == NUMBER and text not in spec.null and not number.fullmatch(text.strip(" \t")):
                    none = not any(
                        number.fullmatch(fields[at].strip(" \t")) for other, at in wanted if other.kind == NUMBER
                    )
                    hint = skip_below_hint(path, spec, separator, skip, wanted, number, opener) if none else ""
                    return RecordingError(
                        f"{where}, column {shown(column.column)} ({column.what}): found {text[:_SHOWN]!r}; expected a "
                        f"number{_decimal_hint(text, spec)}, or one of {', '.join(map(repr, spec.null))} for none "
                        f"(csv.null){hint or _time_hint(text, column)}"
                    )
    except RecordingError as found:
        return found
    if not rows:
        return RecordingError(f"{path}: no row of data below its header")
    cause = str(error).strip().splitlines()
    return RecordingError(f"{path}: not a table of {width} columns as declared: {cause[0] if cause else error!r}")


def skip_below_hint(
    path: Path,
    spec: CsvSpec,
    separator: str,
    skip: int,
    wanted: Sequence[tuple[Wanted, int]],
    number: re.Pattern[str],
    opener: Callable[[], BinaryIO] | None,
) -> str:
    """Where the first rows hold no number in any column and the next one does: they are e.g. a line of units."""
    for line, fields in itertools.islice(python_rows(path, spec, separator, skip, opener), _MOST_ABOVE):
        there = [fields[at] for w, at in wanted if w.kind == NUMBER and at < len(fields)]
        if there and all(number.fullmatch(text.strip(" \t")) for text in there):
            lines = line - 1 - skip
            if not lines or not spec.header:
                return ""
            total = spec.skip_below_header + lines
            return f" (are these units, or names once more? set csv.skip_below_header: {total})"
    return ""


def printable(text: str) -> str:
    """The beginning of a line for a message; a run of zero bytes is said, not printed."""
    return re.sub("\0{2,}", lambda run: f"<{len(run[0])} zero bytes>", text)[:_SHOWN]


def _decimal_hint(text: str, spec: CsvSpec) -> str:
    other = "," if spec.decimal == "." else "."
    plain = text.strip()
    if not spec.thousands:
        for sign in (",", ".", " ", "'", "\u00a0", "\u202f"):
            if sign == spec.decimal:
                continue
            digits = rf"[+-]?\d{{1,3}}({re.escape(sign)}\d{{3}})+"
            decimals = rf"{re.escape(spec.decimal)}\d+"
            several = plain.count(sign) > 1 or re.search(decimals, plain)
            if several and re.fullmatch(rf"{digits}({decimals})?", plain):
                return f" (set csv.thousands: {sign!r} if that separates thousands)"
        if re.fullmatch(rf"[+-]?\d{{1,3}}({re.escape(spec.decimal)}\d{{3}})+{re.escape(other)}\d+", plain):
            return f" (set csv.decimal: '{other}' and csv.thousands: '{spec.decimal}' if that is right)"
    if spec.decimal == "," and re.fullmatch(r"[+-]?[1-9]\d{0,2}(\.\d{3})+", plain):
        return " (set csv.thousands: '.' if that separates thousands, or csv.decimal: '.' if it is before decimals)"
    if other in text and re.fullmatch(r"\s*[+-]?\d*\d*\s*", text.replace(other, "", 1)):
        return f" with '{spec.decimal}' before its decimals (set csv.decimal: '{other}' if that is right)"
    return ""


def _comment_hint(fields: list[str], spec: CsvSpec) -> str:
    sign = fields[0].lstrip()[:1]
    return (
        f"; set csv.comment: '{sign}' if that begins a comment"
        if sign and sign in "%#;!*/$>" and not spec.comment
        else ""
    )


def _time_hint(text: str, column: Wanted) -> str:
    """Where a stamp is written as a date or a time of day."""
    if column.what not in ("time", "start", "end"):
        return ""
    likely = "set the unit to iso8601" if _DATE.match(text.strip()) else likely_setting(text.strip(), None)
    if not likely and _CLOCK.fullmatch(text.strip()):
        likely = "set the unit to h:m:s"
    return f"; it is a time written as text: {likely}" if likely else ""


def _wrong_encoding(path: Path, encoding: str, error: UnicodeError) -> RecordingError:
    hint = "tables saved by Excel on Windows are often cp1252 or utf-16"
    if not codecs.lookup(encoding).name.startswith(_MULTIBYTE):
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    line.decode(encoding)
                except UnicodeDecodeError as found:
                    byte = found.object[found.start]
                    return RecordingError(
                        f"{path}, line {number}: byte {byte:#04x} at its position {found.start + 1} is not {encoding}; "
                        f"expected the encoding that csv.encoding names ({hint})"
                    )
                except UnicodeError:
                    break
    if "truncated" in str(error):
        return RecordingError(
            f"{path}: it ends within a character of {encoding}: was it cut off? leave out what is broken"
        )
    return RecordingError(f"{path}: not {encoding}: {error}; expected the encoding that csv.encoding names ({hint})")
