"""Check of the places where HDF5 keeps texts of any length (its global heaps), before HDF5 itself reads them.

HDF5 2.0 walks a heap from object to object, and walks for ever where a damaged length brings it back to where it was.
It holds Python's lock meanwhile, so that nothing but SIGKILL ends the process.

Source: HDF5 File Format Specification 4.0, section III.E, "Disk Format: Level 1E - Global Heap".
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator

_SIGNATURE = b"GCOL\x01"
_HEAP = struct.Struct("<4sB3xQ")  # signature, version, bytes of the whole
_OBJECT = struct.Struct("<HH4xQ")  # number, 0 for free space; references; bytes, without the padding to eight
_MOST_BYTES = 16 << 20  # of a stretch that is searched; structures of shards have some 20 kB


def heap_problem(read: Callable[[int, int], bytes], arrays: Iterable[tuple[int, int]], size: int) -> str:
    """Look at all heaps outside the arrays of a file.

    Args:
        read: bytes of the file, from the first to before the second number.
        arrays: first byte and number of bytes of each array.
        size: bytes of the file.

    Returns:
        What is wrong with the first damaged one, and where; empty if nothing is.
    """
    for start, end in _between(arrays, size):
        if end - start > _MOST_BYTES:
            continue
        content = read(start, end)
        at = content.find(_SIGNATURE)
        while at >= 0:
            if problem := _walk(content, at):
                return f"the heap of texts at byte {start + at}: {problem}"
            at = content.find(_SIGNATURE, at + 1)
    return ""


def _between(arrays: Iterable[tuple[int, int]], size: int) -> Iterator[tuple[int, int]]:
    at = 0
    for start, count in sorted(arrays):
        if start > at:
            yield at, start
        at = max(at, start + count)
    if size > at:
        yield at, size


def _walk(content: bytes, start: int) -> str:
    if len(content) < start + _HEAP.size:
        return "cut"
    *_, size = _HEAP.unpack_from(content, start)
    if size < _HEAP.size or start + size > len(content):
        return f"{size} bytes; expected at most {len(content) - start}"
    at, end = start + _HEAP.size, start + size
    while at + _OBJECT.size <= end:
        number, _, length = _OBJECT.unpack_from(content, at)
        if number == 0:  # free space, which reaches the end, its own header included
            return "" if length == end - at else f"{length} bytes are free; expected {end - at}"
        needed = _OBJECT.size + -(-length // 8) * 8
        if needed > end - at:
            return f"a text of {length} bytes; expected at most {end - at - _OBJECT.size}"
        at += needed
    return ""
