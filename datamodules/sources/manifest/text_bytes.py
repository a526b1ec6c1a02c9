"""The bytes of a text table as they are to be read: unpacked, and without what a logger left that is no row.

Whatever is left out keeps its line, emptied, so that lines keep their numbers: lines of comments, a header that is
there again, a row that broke off because power was lost, the zero bytes that a file system leaves then, and lines
behind the last row that are none, such as a summary.
"""

from __future__ import annotations

import codecs
import collections
import gzip
import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from core.bounds import check_unpacked
from datamodules.recording import RecordingError
from datamodules.sources.manifest.wide_text import SLIP, as_utf8, width_of

_BLOCK = 1 << 20
_ZEROS = b"\0\0"  # in no text of an encoding that keeps ASCII; a single one may be a slip within a value
_TAIL = 1 << 16
_SHOWN = 40
_PLAIN_TAIL = 20  # rows that say how many decimals the last column has
_MOST_JUNK = 10  # lines behind the last row
_JUMP = 8.0  # usual steps that a cut number is off


def open_bytes(path: Path, encoding: str = "") -> BinaryIO:
    """The file's bytes, unpacked if its name ends with ``.gz``; text in UTF-16 or UTF-32 comes in UTF-8."""
    if encoding:
        file = open_bytes(path)
        return io.BufferedReader(_Lines(as_utf8(path, file, encoding), file), _BLOCK)
    if path.suffix.lower() == ".gz":
        return io.BufferedReader(_Unpacked(path), _BLOCK)
    return path.open("rb")


class Salvage:
    """What of a table's lines is to be read, decided by one look through the file.

    Attributes:
        line_ends: in the file.
        left_out: what is not read, in words.
        restarts: rows (from 0) before which the header is there again.
    """

    def __init__(self, path: Path, separator: str, comment: str, encoding: str = "utf-8") -> None:
        """Knows of comments alone; ``look`` finds the rest.

        Args:
            path: the file.
            separator: between columns.
            comment: sign before lines of comments; empty for none.
            encoding: of the file; UTF-16 and UTF-32 are read as UTF-8.
        """
        self._path = path
        self._width_of_zero = width_of(encoding)
        self._wide = encoding if self._width_of_zero > 1 else ""
        self._separator, self._comment = separator.encode(), comment.encode()
        self.line_ends, self.left_out, self.restarts = 1, list[str](), list[int]()
        self._blank: set[int] = set()
        self._instead: dict[int, bytes] = {}
        self._skip, self._header, self._width = 0, b"", 0

    def look(self, skip: int, header: bytes, width: int) -> None:
        """Look through the file once.

        Args:
            skip: lines down to the first row.
            header: the line with the columns' names, without its end; empty if there is none.
            width: columns of a row.
        """
        self._skip, self._header, self._width = skip, header, width
        zeros, again, last = self._scan()
        broken = self._is_broken_end(last) if last and not last.endswith((b"\n", b"\r")) else False
        junk = self._junk(last)
        if zeros or again or broken or junk:
            self._find(broken, junk)

    @property
    def needed(self) -> bool:
        """Whether the file can't be read as it stands."""
        return bool(self._blank or self._instead or self._comment or self._wide or self._path.suffix.lower() == ".gz")

    def open(self) -> BinaryIO:
        """The bytes to read."""
        if not (self._blank or self._instead or self._comment):
            return self._whole_file()
        return io.BufferedReader(_Lines(self._lines()), _BLOCK)

    def _whole_file(self) -> BinaryIO:
        return open_bytes(self._path, self._wide)

    def line(self, number: int) -> bytes:
        """A line's bytes, without its end and a mark of the byte order; empty if it is too long for a header."""
        with self._whole_file() as file:
            for at, line in enumerate(file, 1):
                if at == number:
                    return line.rstrip(b"\r\n").removeprefix(codecs.BOM_UTF8) if len(line) < _TAIL else b""
        return b""

    def _scan(self) -> tuple[bool, bool, bytes]:
        """Whether there are runs of zero bytes, whether the header is there again, and the file's end."""
        zeros, headers, tail, size = False, 0, b"", 0
        with self._whole_file() as file:
            while block := file.read(_BLOCK):
                size += len(block)
                self.line_ends += block.count(b"\n") + block.count(b"\r")
                joined = tail[-len(self._header) - 1 :] + block if tail else block
                zeros = zeros or _ZEROS in joined
                if self._header and headers < 2:
                    headers += joined.count(self._header)
                tail = (tail + block)[-_TAIL:]
        zeros = zeros or tail.endswith(b"\0")
        return zeros, headers > 1, tail

    def _is_broken_end(self, tail: bytes) -> bool:
        """Whether a last row without a line end lacks a part: a column, its last number, or decimals of it."""
        rows = [row.rstrip(b"\r") for row in tail.rstrip(b"\0").split(b"\n")]
        last, others = rows[-1], [row for row in rows[1:-1] if row.strip()][-_PLAIN_TAIL:]
        if b'"' in last or len(others) < 1 or not last.strip():
            return False
        fields = last.split(self._separator)
        usual = {row.count(self._separator) for row in others}
        if len(usual) != 1:
            return False
        if len(fields) - 1 < usual.pop():
            return True
        end = fields[-1].strip()
        ends = [row.split(self._separator)[-1].strip() for row in others]
        if not all(ends):
            return False
        if end in (b"", b"-", b"+") or (end[-1:] in b".,eE-+" and not any(e[-1:] in b".,eE-+" for e in ends)):
            return True
        decimals = {len(e.rpartition(b".")[2]) if b"." in e else 0 for e in ends}
        found = len(end.rpartition(b".")[2]) if b"." in end else 0
        if len(decimals) == 1 and decimals != {0}:
            return len(others) >= 5 and found < decimals.pop()
        return _is_cut(end, ends)

    def _junk(self, tail: bytes) -> int:
        """How many lines behind the last row are none, by their number of columns; 0 where that isn't clear."""
        lines = [line for line in tail.rstrip(b"\0").replace(b"\r", b"\n").split(b"\n")[1:] if line]
        if not tail.endswith((b"\n", b"\r")) and lines and lines[-1].strip():
            lines = lines[:-1]
        usual = [line.count(self._separator) for line in lines[: -_MOST_JUNK - 1]][-_PLAIN_TAIL:]
        if len(usual) < _PLAIN_TAIL or len(set(usual)) != 1 or not usual[0]:
            return 0
        junk = 0
        for line in reversed(lines):
            is_comment = self._comment and line.lstrip().startswith(self._comment)
            if is_comment or b'"' in line or b"\0" in line or line.count(self._separator) == usual[0]:
                break
            junk += 1
        return junk if junk <= _MOST_JUNK else 0

    def _find(self, broken_end: bool, junk: int = 0) -> None:
        """Mark lines to leave out, and where the logger was started again."""
        row, zero_bytes, before, before_at, number = 0, 0, b"", 0, 0
        last: collections.deque[tuple[int, bytes]] = collections.deque(maxlen=junk + 1)
        with self._whole_file() as file:
            for number, raw in enumerate(file, 1):
                line = raw.rstrip(b"\r\n")
                if number > self._skip and line and not line.endswith(b"\0"):
                    last.append((number, line))
                if number <= self._skip or not line.strip():
                    continue
                if self._comment and line.lstrip().startswith(self._comment):
                    continue
                again = bool(self._header) and line.endswith(self._header)
                if again or _ZEROS in line or line.endswith(b"\0"):
                    slips = line.count(SLIP)
                    line = line.replace(SLIP, b"\0" * bool(self._wide))
                    zero_bytes += (line.count(b"\0") - slips) * self._width_of_zero
                    row_before_zeros = line.rstrip(b"\0")
                    if not again and b"\0" not in row_before_zeros and self._like(row_before_zeros, before):
                        self._instead[number] = row_before_zeros
                        row, before, before_at = row + 1, row_before_zeros, number
                        continue
                    self._blank.add(number)
                    rest = line.removesuffix(self._header) if again else line
                    if piece := rest.strip(b"\0").strip():
                        why = "is a byte too short or too long" if slips else "has zero bytes in it"
                        self._say(number, piece.replace(b"\0", b""), why if not again else "")
                    if again:
                        if not rest and before and not self._whole(before):
                            self._blank.add(before_at)
                            self._say(before_at, before)
                            row -= 1
                        self.restarts.append(row)
                    before = b""
                    continue
                row += 1
                before, before_at = line, number
        if broken_end and before and before_at not in self._instead:
            self._blank.add(before_at)
            self._say(before_at, before)
            last.pop() if last and last[-1][0] == before_at else None
        for number, line in list(last)[len(last) - min(junk, len(last)) :]:
            if number not in self._blank:
                self._blank.add(number)
                if line.strip():
                    self._say(number, line, "is no row of as many columns")
        if zero_bytes:
            self.left_out.append(f"{zero_bytes} zero bytes, as a loss of power leaves them")

    def _whole(self, line: bytes) -> bool:
        fields = line.split(self._separator)
        return b'"' in line or (len(fields) >= self._width and bool(fields[-1].strip()))

    def _like(self, line: bytes, before: bytes) -> bool:
        """Whether a row without a line end is whole: as many columns as the one before, and as many decimals."""
        if not line or not before or line.count(self._separator) != before.count(self._separator):
            return False
        ends = [text.split(self._separator)[-1].strip().rpartition(b".")[2] for text in (line, before)]
        return len(ends[0]) >= len(ends[1]) > 0

    def _say(self, number: int, piece: bytes, why: str = "") -> None:
        text = piece[:_SHOWN].decode("ascii", "replace")
        self.left_out.append(f"line {number}, which {why or 'is broken off'}: '{text}'")

    def _lines(self) -> Iterator[bytes]:
        with self._whole_file() as file:
            for number, line in enumerate(file, 1):
                is_comment = self._comment and line.lstrip().startswith(self._comment)
                if is_comment or number in self._blank:
                    yield b"\n"
                elif number in self._instead:
                    yield self._instead[number] + b"\n"
                else:
                    yield line


def _is_cut(end: bytes, ends: list[bytes]) -> bool:
    """Whether the last number of a file lacks digits: those before have more, or it is far from them."""
    try:
        numbers, number = [float(text) for text in ends], float(end)
    except ValueError:
        return False
    if len(end) < min(len(text) for text in ends):
        return True
    steps = sorted(abs(b - a) for a, b in itertools.pairwise(numbers))
    return len(steps) >= _PLAIN_TAIL // 2 and abs(number - numbers[-1]) > _JUMP * steps[-1]


class _Unpacked(io.RawIOBase):
    """A gzip file that ends in an error once it unpacks to more than it may."""

    def __init__(self, path: Path) -> None:
        self._file = gzip.open(path, "rb")  # noqa: SIM115 - open while used
        self._packed, self._unpacked = path.stat().st_size, 0

    def close(self) -> None:
        self._file.close()
        super().close()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        found = self._file.readinto(buffer)
        self._unpacked += found
        check_unpacked(self._unpacked, self._packed)
        return found


class _Lines(io.RawIOBase):
    """Lines as a file; closes the one that they come from."""

    def __init__(self, lines: Iterator[bytes], source: BinaryIO | None = None) -> None:
        self._lines, self._rest, self._source = lines, b"", source

    def close(self) -> None:
        if self._source is not None:
            self._source.close()
        super().close()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while len(self._rest) < len(buffer):
            more = next(self._lines, b"")
            if not more:
                break
            self._rest += more
            if len(self._rest) >= 1 << 16:
                break
        taken = self._rest[: len(buffer)]
        buffer[: len(taken)] = taken
        self._rest = self._rest[len(taken) :]
        return len(taken)


def check_readable(path: Path) -> None:
    """Raise a RecordingError where a packed file is damaged or cut off."""
    if path.suffix.lower() != ".gz":
        return
    try:
        with open_bytes(path) as file:
            while file.read(_BLOCK):
                pass
    except FileNotFoundError as error:
        raise RecordingError(f"{path}: not there") from error
    except (OSError, EOFError, ValueError) as error:
        raise RecordingError(f"{path}: no gzip file that can be unpacked whole: {error}") from error
