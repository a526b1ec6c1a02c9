"""The search of a file or a whole folder for names."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from experiments.privacy.containers import PNG, embedded, parts_of, texts_of_pngs
from experiments.privacy.names import Finder

_CHUNK = 8 << 20
_HEAD = 512
_DEEPEST = 4  # containers within containers
_IN_MEMORY = 32 << 20  # bytes of a member; larger ones lie in a temporary file
_LARGEST = 16 << 30  # bytes of a member, unpacked
_FORMATS = (b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x89HDF\r\n\x1a\n", b"PAR1")


@dataclass(frozen=True)
class Found:
    """A name in a file.

    Attributes:
        path: of the file.
        line: of the name in the list.
        place: where in the file.
    """

    path: Path
    line: int
    place: str


@dataclass(frozen=True)
class Unsearched:
    """A file, or a part of it, that could not be looked at, and why."""

    path: Path
    why: str


def files_of(root: Path) -> list[Path]:
    """List all files and links below a folder, sorted; links are not followed."""
    if not root.is_dir() or root.is_symlink():
        return [root]
    return sorted(
        Path(folder, name)
        for folder, folders, names in os.walk(root)
        for name in [*names, *(each for each in folders if Path(folder, each).is_symlink())]
    )


def search(
    root: Path, finder: Finder, progress: Callable[[int], object] = lambda size: None
) -> Iterator[Found | Unsearched]:
    """Look for names in all that lies at or below ``root``: names of files and folders, and content.

    Args:
        root: a file or a folder.
        finder: knows the names.
        progress: called with the bytes of each piece of a file that was read.
    """
    told: set[Path] = set()
    for path in files_of(root):
        for part in [path, *path.parents]:  # a folder's name is told once
            if part in told or (part == root and path != root) or not part.is_relative_to(root):
                continue
            told.add(part)
            for hit in finder.find(os.fsencode(part.name)):
                yield Found(part, hit.line, "its name")
        if path.is_symlink():
            for hit in finder.find(os.fsencode(path.readlink())):
                yield Found(path, hit.line, "where the link points to")
            continue
        if not path.is_file():
            continue
        try:
            with path.open("rb") as file:
                yield from _of_stream(path, "", file, finder, 0, progress)
        except OSError as error:
            yield Unsearched(path, error.strerror or type(error).__name__)
    for folder in _empty_folders(root):
        for hit in finder.find(os.fsencode(folder.name)):
            yield Found(folder, hit.line, "its name")


def _empty_folders(root: Path) -> Iterator[Path]:
    if root.is_dir() and not root.is_symlink():
        for folder, folders, names in os.walk(root):
            if not folders and not names and Path(folder) != root:
                yield Path(folder)


def _of_stream(
    path: Path, where: str, file: IO[bytes], finder: Finder, depth: int, progress: Callable[[int], object]
) -> Iterator[Found | Unsearched]:
    """Look at a stream's bytes, each name's first place, and then into what it holds."""
    head = b""
    found: dict[int, str] = {}
    before, at = b"", 0
    while piece := file.read(_CHUNK):
        head = head or piece[:_HEAD]
        content = before + piece
        for hit in finder.find(content):
            found.setdefault(hit.line, _at(where, at - len(before) + hit.at, hit.at < 0))
        for inner, bytes_ in [*(texts_of_pngs(content) if PNG in content else ()), *embedded(content)]:
            for hit in finder.find(bytes_):
                found.setdefault(hit.line, _joined(where, inner))
            for text, written in texts_of_pngs(bytes_):
                for hit in finder.find(written):
                    found.setdefault(hit.line, _joined(where, f"{inner}, {text}"))
        at += len(piece)
        before = content[-finder.overlap :]
        progress(len(piece))
    yield from (Found(path, line, place) for line, place in found.items())
    if head.startswith(_FORMATS) or head[257:262] == b"ustar":
        yield from _of_parts(path, where, file, head, finder, depth)


class _Copy(tempfile.SpooledTemporaryFile[bytes]):
    """What is unpacked; Python 3.10's can't be asked whether it can seek, which zipfile does."""

    def seekable(self) -> bool:
        return True


def _of_parts(
    path: Path, where: str, file: IO[bytes], head: bytes, finder: Finder, depth: int
) -> Iterator[Found | Unsearched]:
    if depth >= _DEEPEST:
        yield Unsearched(path, _joined(where, f"archives within archives, {_DEEPEST} deep"))
        return
    seen: set[tuple[int, str]] = set()
    try:
        for inner, stream in parts_of(file, head):
            with _Copy(_IN_MEMORY) as copy:
                size = 0
                while piece := stream.read(_CHUNK):
                    size += len(piece)
                    if size > _LARGEST:
                        raise ValueError(f"{inner}: more than {_LARGEST >> 30} GiB unpacked")
                    copy.write(piece)
                copy.seek(0)
                for each in _of_stream(path, _joined(where, inner), copy, finder, depth + 1, lambda _: None):
                    if isinstance(each, Unsearched) or (each.line, each.place) not in seen:
                        if isinstance(each, Found):
                            seen.add((each.line, each.place))
                        yield each
    except Exception as error:  # whatever a damaged file, or one that only looks like an archive, makes a library raise
        yield Unsearched(path, _joined(where, f"its content can't be opened ({type(error).__name__})"))


def _at(where: str, byte: int, escaped: bool) -> str:
    return _joined(where, "escaped" if escaped else f"byte {byte}")


def _joined(where: str, inner: str) -> str:
    return f"{where}, {inner}" if where else inner
