"""``index.json``, the index of a directory of shards.

A build writes the index last. A directory without an index is not readable.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.bounds import parse_json
from core.digest import digest_of, seal_holds, sealed
from core.durable import write_json
from core.settings import check_settings
from datamodules.shards import layout
from datamodules.shards.layout import ShardError
from datamodules.windows.cut import WindowSettings


@dataclass(frozen=True)
class ShardEntry:
    """A shard's entry in the index: name, number of windows, bytes and SHA-256 of the file."""

    file: str
    windows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Index:
    """The content of ``index.json``.

    Attributes:
        build: all inputs of the build (source and its settings, placement, camera, subjects, window settings), as
            plain values.
        build_hash: digest of ``build``.
        settings: settings that the windows were cut with.
        simulated: True if any recording is simulated.
        shards: entries of the shards, in the order of their windows.
        tables: sorted names of the recordings, subjects, populations, placements, devices
            and activities.
        counts: windows by subject and by activity ("" is unlabelled), kept windows by fault, and recordings by the
            result of the comparison of their clocks.
        exclusions: excluded stretches: recording, start_s, reason, detail.
        frames_of: fingerprint of the shards whose frames were left out of these; empty if frames are stored.
    """

    build: dict[str, Any]
    build_hash: str
    settings: WindowSettings
    simulated: bool
    shards: tuple[ShardEntry, ...]
    tables: dict[str, list[str]]
    counts: dict[str, dict[str, int]]
    exclusions: tuple[dict[str, Any], ...]
    frames_of: str = ""

    @property
    def n_windows(self) -> int:
        """Number of windows in all shards."""
        return sum(entry.windows for entry in self.shards)

    @property
    def fingerprint(self) -> str:
        """Digest of the content of all shards, frames included, hex; the same if they were left out afterwards."""
        return self.frames_of or digest_of([self.build_hash, [entry.sha256 for entry in self.shards]])

    def write(self, directory: Path) -> None:
        """Write ``index.json`` atomically."""
        reasons = Counter(str(row["reason"]) for row in self.exclusions)
        value = {
            "format": layout.FORMAT,
            "version": layout.VERSION,
            "n_windows": self.n_windows,
            "simulated": self.simulated,
            "build_hash": self.build_hash,
            "build": self.build,
            "shards": [dataclasses.asdict(entry) for entry in self.shards],
            "tables": self.tables,
            "counts": self.counts,
            "excluded": dict(sorted(reasons.items())),
            "exclusions": list(self.exclusions),
            **({"frames_of": self.frames_of} if self.frames_of else {}),
        }
        write_json(directory / layout.INDEX, sealed(value))


def read_index(directory: Path, unchanged: bool = True) -> Index:
    """Read ``index.json``.

    Args:
        directory: folder of the shards.
        unchanged: True refuses an index that was changed since it was written.

    Raises:
        ShardError: the index is missing (the build did not finish), damaged, or of another version.
    """
    path = directory / layout.INDEX
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ShardError(f"{path}: not there; a finished build writes it last, so build the shards (again)") from error
    return parse_index(content, path, unchanged)


def parse_index(content: bytes, path: Path | str, unchanged: bool = True) -> Index:
    """Parse the content of an index.

    Args:
        content: bytes of the file.
        path: path or URL of the file, for messages.
        unchanged: see :func:`read_index`.

    Raises:
        ShardError: the index is damaged, or of another version.
    """
    try:
        value = parse_json(content)
    except json.JSONDecodeError as error:
        raise ShardError(f"{path}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ShardError(f"{path}: a JSON {type(value).__name__}; expected an object")
    layout.check_version(path, value.get("format"), value.get("version"))
    try:
        index = Index(
            build=value["build"],
            build_hash=value["build_hash"],
            settings=WindowSettings(**value["build"]["window"]),
            simulated=value["simulated"],
            shards=tuple(ShardEntry(**entry) for entry in value["shards"]),
            tables=value["tables"],
            counts=value["counts"],
            exclusions=tuple(value["exclusions"]),
            frames_of=str(value.get("frames_of", "")),
        )
        _check_types(index)
        check_settings(index.settings, "window")
    except (KeyError, TypeError, AttributeError) as error:
        raise ShardError(f"{path}: a field is missing or unknown: {error}") from error
    except ValueError as error:
        raise ShardError(f"{path}: damaged: {error}") from error
    for entry in index.shards:
        if Path(entry.file).name != entry.file:
            raise ShardError(f"{path}: the shard '{entry.file}' is not in the index's own directory")
    if unchanged and not seal_holds(value):
        raise ShardError(f"{path}: damaged: its content differs from its digest; build the shards again")
    return index


def _check_types(index: Index) -> None:
    """Check that fields hold what they promise.

    Raises:
        ValueError: one does not.
    """
    for entry in index.shards:
        if not (isinstance(entry.file, str) and isinstance(entry.sha256, str)):
            raise ValueError(f"a shard has file {entry.file!r} and sha256 {entry.sha256!r}; expected text")
        if not all(type(n) is int and n >= 0 for n in (entry.windows, entry.bytes)):
            raise ValueError(
                f"'{entry.file}' has {entry.windows!r} windows and {entry.bytes!r} bytes; expected numbers"
            )
    for name in layout.CODES:
        table = index.tables[name]
        if not isinstance(table, list) or not all(isinstance(each, str) for each in table):
            raise ValueError(f"tables: '{name}' is no list of names")
    for field in dataclasses.fields(WindowSettings):
        value, kind = getattr(index.settings, field.name), type(field.default)
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise ValueError(f"window.{field.name} is {value!r}; expected {kind.__name__}")
    if not isinstance(index.simulated, bool) or not isinstance(index.build_hash, str):
        raise ValueError("'simulated' and 'build_hash' must be true or false, and text")
    if not isinstance(index.counts, dict) or not all(isinstance(row, dict) for row in index.exclusions):
        raise ValueError("'counts' must be an object, and 'exclusions' a list of objects")
