"""TSDF, a format of digital biomarkers: metadata in JSON, and files of raw binary numbers beside it.

The format is that of https://arxiv.org/abs/2211.11294, version 0.1, with the older names of its fields. What a level of
the metadata says holds for all levels below it. Metadata come from outside: sizes are compared with the files before
anything is read, and a file's name can't lead out of the folder.

Shape legend: N rows, C channels.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.bounds import read_json
from datamodules.recording import RecordingError

DIFFERENCE, RELATIVE, ABSOLUTE = "difference", "relative", "absolute"
TIME_ENCODINGS = (DIFFERENCE, RELATIVE, ABSOLUTE)
_MOST_METADATA = 4 << 20  # bytes
_MOST_FILES, _MOST_CHANNELS, _MOST_TEXT = 1000, 1000, 200
_TYPES = {"int": ("i", (8, 16, 32, 64)), "uint": ("u", (8, 16, 32, 64)), "float": ("f", (16, 32, 64))}
_ORDERS = {"little": "<", "big": ">", "not applicable": "|"}
# Names of the format's forerunner.
_OLDER = {"quantities": "channels", "datatype": "data_type", "start_datetime_iso8601": "start_iso8601"}
_ENCODED = re.compile(rf"(?:time_)?({'|'.join(TIME_ENCODINGS)})_(\w+)")


@dataclass(frozen=True)
class TsdfFile:
    """One binary file, as the metadata describe it.

    Attributes:
        path: of the file.
        channels: names of its C columns.
        units: of each channel, without what a unit says about the encoding of times; "" where nothing is said.
        scale_factors: of each channel; 1 where nothing is said.
        time_encoding: one of ``TIME_ENCODINGS``, or "" where nothing is said.
        rows: N.
        dtype: of its numbers.
        start: date and time of the first sample; "" where nothing is said.
    """

    path: Path
    channels: tuple[str, ...]
    units: tuple[str, ...]
    scale_factors: tuple[float, ...]
    time_encoding: str
    rows: int
    dtype: np.dtype[Any]
    start: str

    def read(self, first: int, last: int) -> NDArray[Any]:
        """Rows ``first`` to ``last`` as they stand in the file, (n, C).

        Raises:
            RecordingError: the file can't be read, or became shorter.
        """
        width = len(self.channels)
        try:
            found = np.fromfile(
                self.path, self.dtype, (last - first) * width, offset=first * width * self.dtype.itemsize
            )
        except OSError as error:
            raise RecordingError(f"{self.path}: can't be read: {error.strerror or error}") from error
        if found.size != (last - first) * width:
            raise RecordingError(f"{self.path}: it ends before row {last}; expected {self.rows} rows")
        return found.reshape(-1, width)


def read_metadata(path: Path) -> list[TsdfFile]:
    """All binary files that metadata describe, in their order.

    Raises:
        RecordingError: it isn't there, or is no such metadata, or a file isn't there or has another size than it says;
            the message names the field, what was found and what is expected.
    """
    try:
        if path.stat().st_size > _MOST_METADATA:
            raise RecordingError(f"{path}: {path.stat().st_size} bytes; expected TSDF metadata, which are a few kB")
        content = read_json(path)
    except FileNotFoundError as error:
        raise RecordingError(f"{path}: not there") from error
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, RecordingError):
            raise
        raise RecordingError(f"{path}: no JSON that can be read: {str(error)[:200]}") from error
    if not isinstance(content, dict):
        raise RecordingError(f"{path}: expected TSDF metadata, keys and values; found a {type(content).__name__}")
    files: list[TsdfFile] = []
    _collect(content, {}, path, files, 0)
    if not files:
        raise RecordingError(f"{path}: no 'file_name' in it; expected TSDF metadata")
    return files


def companions(path: Path) -> set[Path]:
    """The binary files that metadata name; none where it can't be read."""
    try:
        return {file.path for file in read_metadata(path)}
    except RecordingError:
        return set()


def _collect(level: dict[str, Any], above: dict[str, Any], path: Path, files: list[TsdfFile], depth: int) -> None:
    if depth > 20 or len(files) > _MOST_FILES:
        raise RecordingError(
            f"{path}: more than 20 levels or {_MOST_FILES} files; expected the metadata of a recording"
        )
    level = {_OLDER.get(key, key): value for key, value in level.items()}
    below = {key: value for key, value in level.items() if _names_a_file(value)}
    fields = above | {key: value for key, value in level.items() if key not in below}
    if not below and "file_name" in fields:
        files.append(_file(fields, path))
    for value in below.values():
        for entry in value if isinstance(value, list) else [value]:
            if isinstance(entry, dict):
                _collect(entry, fields, path, files, depth + 1)


def _names_a_file(value: object) -> bool:
    if isinstance(value, list):
        return any(_names_a_file(entry) for entry in value)
    if isinstance(value, dict):
        return "file_name" in value or any(_names_a_file(entry) for entry in value.values())
    return False


def _file(fields: dict[str, Any], path: Path) -> TsdfFile:
    name = fields["file_name"]
    if not isinstance(name, str) or not name or name in (".", "..") or re.search(r"[/\\\0]", name) or ":" in name[:2]:
        raise _wrong(path, "file_name", name, "the name of a file in the same folder")
    where = f"file '{name}'"
    version = fields.get("metadata_version", "0.1")
    if version != "0.1":
        raise _wrong(path, "metadata_version", version, "0.1, which is the one that is read")
    channels = _texts(fields.get("channels"))
    if not channels or len(channels) > _MOST_CHANNELS:
        raise _wrong(path, f"channels of {where}", fields.get("channels"), "a list of names")
    units = _texts(fields.get("units", [""] * len(channels)))
    if len(units) != len(channels):
        raise _wrong(path, f"units of {where}", fields.get("units"), f"one for each of {len(channels)} channels")
    rows = fields.get("rows")
    if not isinstance(rows, int) or isinstance(rows, bool) or not 0 <= rows < 1 << 48:
        raise _wrong(path, f"rows of {where}", rows, "a number of rows")
    if fields.get("columns", len(channels)) != len(channels):
        raise _wrong(path, f"columns of {where}", fields["columns"], f"the number of its channels, {len(channels)}")
    file = TsdfFile(
        path=path.parent / name,
        channels=tuple(channels),
        units=tuple(_unit(unit)[1] for unit in units),
        scale_factors=_factors(fields, len(channels), path, where),
        time_encoding=_encoding(fields, units, path, where),
        rows=rows,
        dtype=_dtype(fields, path, where),
        start=str(fields.get("start_iso8601", ""))[:_MOST_TEXT],
    )
    _check_size(file, path)
    return file


def _check_size(file: TsdfFile, path: Path) -> None:
    try:
        size = file.path.stat().st_size
    except OSError as error:
        raise RecordingError(f"{file.path}: not there, though {path.name} names it") from error
    expected = file.rows * len(file.channels) * file.dtype.itemsize
    if size != expected:
        raise RecordingError(
            f"{file.path}: {size} bytes; expected {expected}, by {path.name}: rows {file.rows} x {len(file.channels)} "
            f"channels x {file.dtype.itemsize} bytes"
        )


def _texts(value: object) -> list[str]:
    """A list of texts; the forerunner has a text where there is one."""
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(v, str) and len(v) <= _MOST_TEXT for v in values):
        return []
    return [str(v).strip() for v in values]


def _unit(text: str) -> tuple[str, str]:
    """Encoding and unit of ``difference_ms``; most units have no encoding."""
    match = _ENCODED.fullmatch(text)
    return (match[1], match[2]) if match else ("", text)


def _factors(fields: dict[str, Any], width: int, path: Path, where: str) -> tuple[float, ...]:
    factors = fields.get("scale_factors", [1] * width)
    good = isinstance(factors, list) and len(factors) == width
    good = good and all(isinstance(f, int | float) and not isinstance(f, bool) and 0 < abs(f) < 1e12 for f in factors)
    if not good:
        raise _wrong(path, f"scale_factors of {where}", factors, f"a number for each of {width} channels")
    return tuple(float(factor) for factor in factors)


def _encoding(fields: dict[str, Any], units: list[str], path: Path, where: str) -> str:
    said = fields.get("time_encode", "") or next((_unit(unit)[0] for unit in units if _unit(unit)[0]), "")
    if said and said not in TIME_ENCODINGS:
        raise _wrong(path, f"time_encode of {where}", said, f"one of {', '.join(TIME_ENCODINGS)}")
    return str(said)


def _dtype(fields: dict[str, Any], path: Path, where: str) -> np.dtype[Any]:
    kind, bits, order = (fields.get(key) for key in ("data_type", "bits", "endianness"))
    if not isinstance(kind, str) or kind not in _TYPES:
        raise _wrong(path, f"data_type of {where}", kind, f"one of {', '.join(_TYPES)}")
    letter, sizes = _TYPES[kind]
    if not isinstance(bits, int) or bits not in sizes:
        raise _wrong(path, f"bits of {where}", bits, f"one of {', '.join(map(str, sizes))} for {kind}")
    if not isinstance(order, str) or order not in _ORDERS or (order == "not applicable" and bits > 8):
        raise _wrong(path, f"endianness of {where}", order, "little or big")
    return np.dtype(f"{_ORDERS[order]}{letter}{bits // 8}")


def _wrong(path: Path, field: str, found: object, expected: str) -> RecordingError:
    return RecordingError(f"{path}: {field} is {str(found)[:100]!r}; expected {expected}")
