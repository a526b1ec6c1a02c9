"""Opening of one shard: checks of its structure, and the places of its arrays in the file."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from core.bounds import parse_json
from datamodules.shards import layout
from datamodules.shards.global_heap import heap_problem
from datamodules.shards.layout import ShardError
from datamodules.windows.quality.facts import RecordingFacts

_MOST_ATTRIBUTES, _LONGEST_ATTRIBUTE = 100, 100
_KINDS = (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.STRING, h5py.h5t.ENUM)  # the last one: a truth value
# Errors of h5py on a damaged or truncated file, and errors of Python on an attribute of the wrong type.
DAMAGED = (OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError, AttributeError, MemoryError)


@dataclass(frozen=True)
class ArrayPlace:
    """The place of an array in a file; ``offset`` in bytes."""

    offset: int
    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Length of the array, bytes."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def parse(self, content: bytes, start: int) -> NDArray[Any]:
        """Return the array from ``content``, a stretch of the file that begins at byte ``start``."""
        if 0 in self.shape:
            return np.zeros(self.shape, self.dtype)
        return np.frombuffer(content, self.dtype, math.prod(self.shape), self.offset - start).reshape(self.shape)

    def map(self, path: Path | str) -> NDArray[Any]:
        """Map the array into memory, read-only."""
        if 0 in self.shape:
            return np.zeros(self.shape, self.dtype)
        return np.memmap(path, mode="r", dtype=self.dtype, shape=self.shape, offset=self.offset)


@dataclass(frozen=True)
class ShardFile:
    """A shard with a valid structure.

    Attributes:
        path: path of the file, or its URL in a store.
        attributes: attributes of the file, as plain values by name.
        places: place of each array in ``layout.DATASETS``, and of those in ``layout.LATER`` that are there.
        tables: names of each column in ``layout.CODES``, by code.
    """

    path: Path | str
    attributes: dict[str, Any]
    places: dict[str, ArrayPlace]
    tables: dict[str, list[str]]

    @property
    def n_windows(self) -> int:
        """Number of windows, N."""
        return self.places["imu"].shape[0]

    def array(self, name: str) -> NDArray[Any]:
        """Return one array as a read-only memory map."""
        return self.places[name].map(self.path)

    def codes(self, code: str) -> NDArray[np.int32]:
        """Return the column ``code`` of ``layout.CODES``, (N,): positions in its table, -1 where it is empty.

        Raises:
            ShardError: a position is outside the table.
        """
        codes, last = self.array(code), len(self.tables[code]) - 1
        if codes.size and (codes.min() < -1 or codes.max() > last):
            raise ShardError(f"{self.path}: '{code}' has codes {codes.min()} to {codes.max()}; expected -1 to {last}")
        return codes

    def strings(self, code: str) -> NDArray[np.str_]:
        """Return the column ``code`` as strings (N,), "" where the code is -1."""
        column: NDArray[np.str_] = np.array([*self.tables[code], ""], dtype=np.str_)[self.codes(code)]
        return column

    def exclusions(self) -> list[dict[str, Any]]:
        """Return the excluded stretches of the shard's recordings.

        Raises:
            ShardError: the stored JSON is invalid.
        """
        rows: list[dict[str, Any]] = self._json("exclusions")
        return rows

    def facts(self) -> list[RecordingFacts]:
        """Return the facts about the shard's usable recordings, including those without a window.

        Raises:
            ShardError: a field is missing or unknown, or the stored JSON is invalid.
        """
        try:
            return [RecordingFacts(**row) for row in self._json("facts")]
        except TypeError as error:
            raise ShardError(f"{self.path}: 'facts': {error}") from error

    def _json(self, name: str) -> Any:
        try:
            return parse_json(self.array(name).tobytes())
        except ValueError as error:  # neither UTF-8 nor JSON
            raise ShardError(f"{self.path}: '{name}': {error}") from error


def open_shard(path: Path) -> ShardFile:
    """Read a shard's structure and close the file again.

    Raises:
        ShardError: the file is not a complete shard of this version, or it contains links to other files, virtual
            data sets or filters, none of which a shard may contain.
    """
    try:
        # A shard never changes once it has its name, so it needs no lock.
        with h5py.File(path, "r", locking=False) as file, path.open("rb") as content:
            return read_structure(path, file, content, path.stat().st_size)
    except ShardError:
        raise
    except DAMAGED as error:
        raise ShardError(f"{path}: not a readable HDF5 file: {error}") from error


def read_structure(path: Path | str, file: h5py.File, content: IO[bytes] | io.RawIOBase, size: int) -> ShardFile:
    """Read and check the structure of an open shard.

    Args:
        path: for messages.
        file: the shard.
        content: the same file, as bytes.
        size: number of its bytes.

    Raises:
        ShardError: as :func:`open_shard`.
    """
    _check_attributes(path, file)
    there = _known_places(path, file, size)
    _check_heaps(path, content, there.values(), size)
    attributes = {name: _plain(value) for name, value in file.attrs.items()}
    layout.check_version(path, attributes.get("format"), attributes.get("version"))
    if layout.COMPLETE not in attributes:
        raise ShardError(f"{path}: no attribute '{layout.COMPLETE}': its writer did not finish")
    n = int(attributes[layout.COMPLETE][0])
    t, f = int(attributes["samples"]), int(attributes["frames_per_window"])
    places = {}
    later = {name: kind for name, kind in layout.LATER.items() if name in there}
    for name, (dtype, shape_of) in {**layout.DATASETS, **later}.items():
        place = there.get(name) or _place(path, file, name, size)  # which says what is wrong
        expected = shape_of(n, t, f)
        fits = len(expected) == len(place.shape) and all(
            e is None or e == s for e, s in zip(expected, place.shape, strict=True)
        )
        if np.dtype(place.dtype) != np.dtype(dtype) or not fits:
            raise ShardError(
                f"{path}: '{name}' is {place.dtype} {place.shape}; expected {dtype} "
                f"{tuple('any' if e is None else e for e in expected)}"
            )
        places[name] = place
    counted = int(attributes[layout.COMPLETE][1])
    if places["frames"].shape[0] != counted:
        raise ShardError(f"{path}: {places['frames'].shape[0]} bytes of frames; '{layout.COMPLETE}' says {counted}")
    tables = {}
    for code in layout.CODES:
        if f"tables/{code}" not in there:
            _place(path, file, f"tables/{code}", size)
        tables[code] = [bytes(value).decode() for value in file[f"tables/{code}"][:].astype("S")]
    return ShardFile(path, attributes, places, tables)


def _place(path: Path | str, file: h5py.File, name: str, size: int) -> ArrayPlace:
    for step in _steps(name):
        link = file.get(step, getlink=True)
        if not isinstance(link, h5py.HardLink):
            kind = type(link).__name__ if link is not None else "nothing"
            raise ShardError(f"{path}: '{step}' is {kind}; expected data in the file itself")
    data = file[name]
    if not isinstance(data, h5py.Dataset):
        raise ShardError(f"{path}: '{name}' is not a data set")
    if data.is_virtual or data.external:
        raise ShardError(f"{path}: '{name}' takes its data from other files; expected data in the file itself")
    if data.chunks is not None or data.compression is not None or data.shuffle or data.fletcher32:
        raise ShardError(f"{path}: '{name}' is chunked or filtered; expected a contiguous data set")
    if data.dtype.hasobject:  # many of them may share one place in the file
        raise ShardError(f"{path}: '{name}' has values of any length; expected values of one size")
    offset = data.id.get_offset()
    if offset is None and data.size:
        raise ShardError(f"{path}: '{name}' has no data in the file")
    if offset is not None and offset + data.nbytes > size:
        raise ShardError(f"{path}: '{name}' ends at byte {offset + data.nbytes}, the file at {size}")
    return ArrayPlace(int(offset or 0), data.dtype.str, tuple(data.shape))


def _check_attributes(path: Path | str, file: h5py.File) -> None:
    """Refuse attributes that would take any memory, or end the process, before they are read."""
    if len(file.attrs) > _MOST_ATTRIBUTES:
        raise ShardError(f"{path}: {len(file.attrs):,} attributes; expected at most {_MOST_ATTRIBUTES}")
    for name in file.attrs:
        attribute = file.attrs.get_id(name)
        if (kind := attribute.get_type().get_class()) not in _KINDS:  # HDF5 may crash on others of a damaged file
            raise ShardError(f"{path}: the attribute '{name[:100]}' is of HDF5's class {kind}; expected number or text")
        shape = attribute.shape
        if math.prod(shape) > _LONGEST_ATTRIBUTE:
            raise ShardError(f"{path}: the attribute '{name[:100]}' is {shape}; expected {_LONGEST_ATTRIBUTE} at most")


def _known_places(path: Path | str, file: h5py.File, size: int) -> dict[str, ArrayPlace]:
    """Places of all arrays and tables that a shard may have, and that are there."""
    names = (*layout.DATASETS, *layout.LATER, *(f"tables/{code}" for code in layout.CODES))
    return {name: _place(path, file, name, size) for name in names if _is_there(file, name)}


def _steps(name: str) -> list[str]:
    """``a`` and ``a/b`` of ``a/b``."""
    parts = name.split("/")
    return ["/".join(parts[: i + 1]) for i in range(len(parts))]


def _is_there(file: h5py.File, name: str) -> bool:
    """Whether there is such a name, or a link on the way to it, which is not followed."""
    link: object = None
    for step in _steps(name):
        link = file.get(step, getlink=True)
        if not isinstance(link, h5py.HardLink):
            return link is not None
    return True


def _check_heaps(path: Path | str, content: IO[bytes] | io.RawIOBase, places: Iterable[ArrayPlace], size: int) -> None:
    def read(start: int, end: int) -> bytes:
        content.seek(start)
        return content.read(end - start) or b""

    if problem := heap_problem(read, [(place.offset, place.nbytes) for place in places], size):
        raise ShardError(f"{path}: damaged: {problem}")


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value
