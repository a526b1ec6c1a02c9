"""Files in an archive, and in archives in it, read without unpacking them."""

from __future__ import annotations

import contextlib
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from datamodules.recording import RecordingError

LARGEST_BYTES = 256 << 20  # of one file, unpacked: an hour of one sensor takes some 15 MB
_BROKEN: tuple[type[Exception], ...] = (
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    zlib.error,
    EOFError,
    ValueError,
    OSError,
)
with contextlib.suppress(ImportError):  # a Python that was built without it can't unpack it either, and says so
    from lzma import LZMAError

    _BROKEN += (LZMAError,)


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    Attributes:
        name: of the file, without folders.
        archive: name of the archive that it is directly in.
        where: path of the archive and of the file in it, for messages.
        read: its content.
    """

    name: str
    archive: str
    where: str
    read: Callable[[], bytes]


def members(path: Path) -> Iterator[Member]:
    """All files of a ``.zip``, also those of ``.zip`` files in it (not deeper), in their order.

    Raises:
        RecordingError: it isn't there, is no zip archive or is damaged, or a file in it is larger than any recording.
    """
    for member in _members(path, str(path), path.name):
        if member.name.lower().endswith(".zip"):
            yield from _members(member.read(), member.where, member.name)
        else:
            yield member


def _open(content: Path | bytes) -> zipfile.ZipFile:
    return zipfile.ZipFile(content if isinstance(content, Path) else io.BytesIO(content))


def _members(content: Path | bytes, where: str, name: str) -> Iterator[Member]:
    try:
        with _open(content) as archive:
            entries = archive.infolist()
    except FileNotFoundError as error:
        raise RecordingError(f"{where}: not there") from error
    except _BROKEN as error:
        raise RecordingError(f"{where}: not a readable zip archive: {_short(error)}") from error
    for entry in entries:
        if not entry.filename:
            raise RecordingError(f"{where}: a damaged zip archive: a file in it has no name")
        base = entry.filename.rsplit("/", 1)[-1]
        if not entry.is_dir() and "__MACOSX/" not in entry.filename:
            inner = f"{where}/{entry.filename}"
            yield Member(base, name, inner, _reader(content, entry, inner))


def _reader(content: Path | bytes, entry: zipfile.ZipInfo, where: str) -> Callable[[], bytes]:
    def read() -> bytes:
        if entry.file_size > LARGEST_BYTES:
            raise RecordingError(
                f"{where}: {entry.file_size / 2**20:.0f} MiB unpacked; expected at most {LARGEST_BYTES >> 20}"
            )
        try:
            with _open(content) as archive:
                return archive.read(entry)
        except _BROKEN as error:
            raise RecordingError(f"{where}: can't be unpacked: {_short(error)}") from error

    return read


def _short(error: Exception) -> str:
    """Without the damaged bytes that zipfile quotes."""
    said = str(error)
    return said if len(said) <= 200 else f"{said[:200]} ..."
