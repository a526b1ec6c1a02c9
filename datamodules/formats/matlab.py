"""Variables of a MATLAB file, with errors for a person.

Reads MATLAB's published level 5 format (files of versions 5 to 7), of which sets of recordings use little: full
arrays of real numbers, and text. SciPy reads more, but trusts what a file says about itself: a few changed bytes
crash the process, or have it take any memory.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.bounds import check_unpacked, most_unpacked
from datamodules.recording import FloatArray, RecordingError

_HEADER_BYTES = 128
_INT32, _UINT32, _MATRIX, _COMPRESSED = 5, 6, 14, 15
_NAMES = (1, 2, 16)  # MATLAB writes the first; others write text as text
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXT = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_CHAR, _OPAQUE = 4, 17  # the latter are strings, tables, times ...; they have no shape
_CLASSES = {
    6: "f8",
    7: "f4",
    8: "i1",
    9: "u1",
    10: "i2",
    11: "u2",
    12: "i4",
    13: "u4",
    14: "i8",
    15: "u8",
}  # of arrays, to the type of their values
_OTHERS = {
    1: "cell array",
    2: "struct",
    3: "MATLAB object",
    5: "sparse array",
    16: "function",
    _OPAQUE: "MATLAB object",
}
_COMPLEX, _LOGICAL = 0x800, 0x200


class _Element(NamedTuple):
    """What a file is made of: a type and its bytes."""

    kind: int
    data: memoryview


def read_mat(path: Path) -> dict[str, NDArray[Any]]:
    """All variables of a file: arrays of numbers as they are, text as an array of one string a row.

    What is of another class (cell array, struct ...) is an array of type ``object``, with the class's name in it.

    Raises:
        RecordingError: it isn't there, is damaged, or is no MATLAB file of the versions 5 to 7.
    """
    if not path.is_file():
        raise RecordingError(f"{path}: not there")
    content = path.read_bytes()
    if len(content) < _HEADER_BYTES:
        raise RecordingError(f"{path}: truncated: {len(content)} bytes are less than a header")
    if content[:8] == b"\x89HDF\r\n\x1a\n" or (content[126:128], content[124:126]) == (b"IM", b"\x00\x02"):
        raise RecordingError(f"{path}: a MATLAB file of version 7.3; save it with save(..., '-v7')")
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None or content[124:126] != struct.pack(order + "H", 0x100):
        raise RecordingError(f"{path}: not a readable MATLAB file: it doesn't begin as versions 5 to 7 do")
    variables: dict[str, NDArray[Any]] = {}
    try:
        for element in _elements(memoryview(content)[_HEADER_BYTES:], order):
            for matrix in _inflated(element, order):
                if matrix.kind != _MATRIX:
                    raise ValueError(f"an element of type {matrix.kind}, where a variable is expected")
                name, value = _variable(matrix.data, order)
                variables[name] = value
    except (ValueError, zlib.error, MemoryError) as error:
        raise RecordingError(f"{path}: not a readable MATLAB file: {error}") from error
    return {name: value for name, value in variables.items() if name and not name.startswith("__")}


def numbers(path: Path, content: dict[str, NDArray[Any]], name: str, columns: int) -> FloatArray:
    """One variable of numbers, (N, columns).

    Raises:
        RecordingError: it isn't there, isn't of this shape, or holds what is no number.
    """
    values = variable(path, content, name)
    if values.ndim != 2 or values.shape[1] != columns or values.dtype.kind not in "fiu":
        raise RecordingError(f"{path}: {name} is {describe(values)}; expected numbers (N, {columns})")
    return values.astype(np.float64)


def variable(path: Path, content: dict[str, NDArray[Any]], name: str) -> NDArray[Any]:
    """One variable.

    Raises:
        RecordingError: it isn't there.
    """
    if name not in content:
        raise RecordingError(f"{path}: no variable '{name}'; it has: {', '.join(sorted(content))[:300] or 'none'}")
    return content[name]


def describe(values: NDArray[Any]) -> str:
    """Type and shape, for a message."""
    return f"a {values.item()}" if values.dtype.kind == "O" else f"{values.dtype} {values.shape}"


def _elements(data: memoryview, order: str) -> Iterator[_Element]:
    """The elements that follow each other in ``data``; raises a ValueError where one would end beyond it."""
    while data:
        if len(data) < 8:
            raise ValueError("truncated")
        (word,) = struct.unpack(order + "I", data[:4])
        if word >> 16:  # small: size, type and data in eight bytes
            kind, size, start, end = word & 0xFFFF, word >> 16, 4, 8
        else:
            (size,) = struct.unpack(order + "I", data[4:8])
            kind, start = word, 8
            # Elements begin at multiples of eight bytes, but for those that are compressed.
            end = 8 + size if kind == _COMPRESSED else 8 + -(-size // 8) * 8
        if start + size > min(end, len(data)):
            raise ValueError("truncated")
        yield _Element(kind, data[start : start + size])
        data = data[end:]


def _inflated(element: _Element, order: str) -> Iterator[_Element]:
    """The element, or those within it when it is compressed."""
    if element.kind != _COMPRESSED:
        yield element
        return
    stream = zlib.decompressobj()
    data = stream.decompress(element.data, most_unpacked(len(element.data)) + 1)
    check_unpacked(len(data), len(element.data))
    if not stream.eof:
        raise ValueError("truncated")
    yield from _elements(memoryview(data), order)


def _variable(data: memoryview, order: str) -> tuple[str, NDArray[Any]]:
    """Name and value of an array."""
    parts = _elements(data, order)
    flags = next(parts, None)
    if flags is None or (flags.kind, len(flags.data)) != (_UINT32, 8):
        raise ValueError("an array that doesn't begin as arrays do")
    (word,) = struct.unpack(order + "I", flags.data[:4])
    kind = word & 0xFF
    shape = () if kind == _OPAQUE else _shape(next(parts, None), order)
    name = next(parts, None)
    if name is None or name.kind not in _NAMES:
        raise ValueError("an array without its name")
    label = name.data.tobytes().decode("latin-1")
    if label and not (label.isidentifier() and len(label) < 64):
        raise ValueError(f"a variable named {label!r}"[:100])
    if kind == _CHAR:
        return label, _text(next(parts, None), shape, order)
    if kind in _CLASSES and not word & _COMPLEX:
        values = _values(next(parts, None), shape, order).astype(_CLASSES[kind])
        return label, values.astype(np.bool_) if word & _LOGICAL else values
    if kind not in _CLASSES and kind not in _OTHERS:
        raise ValueError(f"an array of class {kind}")
    other = np.empty((), object)
    other[()] = _OTHERS.get(kind, "complex array")
    return label, other


def _shape(part: _Element | None, order: str) -> tuple[int, ...]:
    """Of an array."""
    if part is None or part.kind not in (_INT32, _UINT32):  # the first, says MATLAB; others write the second
        raise ValueError("an array without its shape")
    shape = tuple(np.frombuffer(part.data, order + "i4").tolist())
    if len(shape) < 2 or min(shape) < 0:
        raise ValueError(f"an array of shape {shape}"[:60])
    return shape


def _values(part: _Element | None, shape: tuple[int, ...], order: str) -> NDArray[Any]:
    """Numbers, which may be stored in a smaller type than they have."""
    if part is None or part.kind not in _NUMBERS:
        raise ValueError("an array without values")
    dtype = np.dtype(order + _NUMBERS[part.kind])
    if len(part.data) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{len(part.data)} bytes of {dtype} for an array of shape {shape}")
    return np.frombuffer(part.data, dtype).reshape(shape, order="F")


def _text(part: _Element | None, shape: tuple[int, ...], order: str) -> NDArray[Any]:
    """One string a row, without spaces at its end."""
    if part is None or part.kind not in _TEXT:
        raise ValueError("text without characters")
    encoding = _TEXT[part.kind]
    if encoding in ("utf-16", "utf-32"):
        encoding += "-le" if order == "<" else "-be"
    characters = part.data.tobytes().decode(encoding)
    if len(shape) != 2 or len(characters) != math.prod(shape):
        raise ValueError(f"{len(characters)} characters for text of shape {shape}")
    rows = ["".join(characters[row :: shape[0]]) for row in range(shape[0])]
    return np.array([row.rstrip(" ") for row in rows], np.str_)
