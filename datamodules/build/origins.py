"""The files that recordings were read from: noted by a build, and compared when its shards are opened.

``sources.json``, beside the index, has size, time of the last change and digest of each file. A file of the same size
and time is taken for unchanged; of others the digest decides. A file that is not there is no fault: shards are often
used where the raw recordings are not.

Under pseudonyms, path, size, time and digest go by pseudonyms, too. Nothing can be read from them, so the source has to
list its files again to have them compared.
"""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import xxhash

from core.digest import digest_of
from core.durable import TEMPORARY, write_json
from core.errors import MendableError
from datamodules.privacy.pseudonyms import FILE, Pseudonyms, is_pseudonym
from datamodules.privacy.source import PrivateSource
from datamodules.recording import Recording, RecordingError
from datamodules.sources.registry import Source

SOURCES = "sources.json"
NOTES = "sources"  # folder with a file for each recording, until the build is finished
_CHUNK = 1 << 20


class ChangedSourceError(MendableError, ValueError):
    """A file changed after shards were built from it, or the notes about such files are damaged."""


def files_of(recording: Recording, others: Iterable[Path]) -> list[Path]:
    """List the files of a recording: those of its sensors and cameras, and others, each once; archives, not members."""
    origins = [*(Path(imu.origin) for imu in recording.imus), *(Path(video.origin) for video in recording.videos)]
    found = (next((path for path in (each, *each.parents) if path.is_file()), None) for each in [*origins, *others])
    return sorted({path for path in found if path is not None})


def note(directory: Path, name: str, recording: Recording, source: Source) -> None:
    """Note the files of one recording in a build's folder."""
    if isinstance(source, PrivateSource):
        hide = source.pseudonyms
        files = {hide.of(FILE, str(path)): _hidden_state(path, hide) for path in _files(source, name)}
    else:
        files = {str(path): _state(path) for path in files_of(recording, source.files(name))}
    if not files:
        return
    (directory / NOTES).mkdir(exist_ok=True)
    write_json(directory / NOTES / f"{digest_of(name)[:16]}.json", {"recording": name, "files": files})


def collect(directory: Path) -> None:
    """Write ``sources.json`` from the notes of all recordings, and delete these."""
    notes = _notes(directory)
    if not notes:
        return
    files = _read(directory / SOURCES) if (directory / SOURCES).is_file() else {}
    for path in notes:
        files |= _read(path)
    write_json(directory / SOURCES, {"files": dict(sorted(files.items()))})
    shutil.rmtree(directory / NOTES, ignore_errors=True)  # with what killed processes had begun to write


def refuse_changed(directory: Path, source: Source | None = None) -> None:
    """Compare the files that shards were built from with what they were; absent files are passed over.

    Args:
        directory: of the shards.
        source: that they were built from; needed where it is under pseudonyms.

    Raises:
        ChangedSourceError: a file has changed; the message names it, or the pseudonym of its recording.
    """
    # A build of version 0.2.0 or earlier has noted nothing; one that was interrupted has only the notes.
    paths = [directory / SOURCES, *_notes(directory)]
    rows = [row for path in paths if path.is_file() for row in _read(path).items()]
    if isinstance(source, PrivateSource):
        _refuse_changed_hidden(directory, source, rows)
        return
    for name, known in rows:
        if is_pseudonym(name):
            continue
        try:
            status = Path(name).stat()
        except OSError:  # not on this machine
            continue
        if (status.st_size, status.st_mtime_ns) == (known["bytes"], known["changed_ns"]):
            continue
        if status.st_size != known["bytes"] or _digest(name, status.st_size, status.st_mtime_ns) != known["xxh3"]:
            raise ChangedSourceError(
                f"{name} has changed since the shards in {directory} were built from it ({known['bytes']} bytes then,"
                f" {status.st_size} now); restore it, or delete {directory} and build the shards again"
            )


def _notes(directory: Path) -> list[Path]:
    """List the notes of recordings, without those that a killed process left half-written."""
    found = (directory / NOTES).glob("*.json")
    return sorted(path for path in found if not path.name.startswith(TEMPORARY))


def _refuse_changed_hidden(directory: Path, source: PrivateSource, rows: list[tuple[str, dict[str, Any]]]) -> None:
    noted: dict[str, list[dict[str, Any]]] = {}
    for hidden, known in rows:
        noted.setdefault(hidden, []).append(known)
    for name, paths in _private_files(source) if noted else ():
        for path in paths:
            for known in noted.get(source.pseudonyms.of(FILE, str(path)), ()):
                if not _is_as_noted(path, known, source.pseudonyms):
                    raise ChangedSourceError(
                        f"a file of recording {name} has changed since the shards in {directory} were built from it;"
                        f" restore it, or delete {directory} and build the shards again. Which recording that is, the"
                        " owner of the key sees by python -m experiments.pseudonyms CONFIG"
                    )


def _private_files(source: PrivateSource) -> Iterator[tuple[str, list[Path]]]:
    """Yield each recording and its files; those that can't be listed are not on this machine."""
    with suppress(RecordingError, OSError):
        for name in source.names():
            with suppress(RecordingError, OSError):
                yield name, _files(source, name)


def _files(source: PrivateSource, name: str) -> list[Path]:
    return sorted({path.absolute() for path in source.raw_files(name) if path.is_file()})


def _hidden_state(path: Path, pseudonyms: Pseudonyms) -> dict[str, Any]:
    # A digest without a key would tell whoever has a file, or can guess what it says, that it is this one.
    found = _state(path)
    return {
        "state": pseudonyms.of(FILE, f"{found['bytes']} {found['changed_ns']}"),
        "content": pseudonyms.of(FILE, f"{found['bytes']} {found['xxh3']}"),
    }


def _is_as_noted(path: Path, known: dict[str, Any], pseudonyms: Pseudonyms) -> bool:
    status = path.stat()
    if pseudonyms.of(FILE, f"{status.st_size} {status.st_mtime_ns}") == known.get("state"):
        return True
    return bool(_hidden_state(path, pseudonyms)["content"] == known.get("content"))


def _state(path: Path) -> dict[str, Any]:
    status = path.stat()
    digest = _digest(str(path), status.st_size, status.st_mtime_ns)
    return {"bytes": status.st_size, "changed_ns": status.st_mtime_ns, "xxh3": digest}


@functools.lru_cache(maxsize=64)  # an archive or a table may have all recordings
def _digest(path: str, nbytes: int, changed_ns: int) -> str:
    digest = xxhash.xxh3_128()
    with Path(path).open("rb") as file:
        while block := file.read(_CHUNK):
            digest.update(block)
    return digest.hexdigest()


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        files = json.loads(path.read_bytes())["files"]
        return {str(name): _checked(name, known) for name, known in files.items()}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ChangedSourceError(f"{path}: damaged: not the files that shards were built from; delete it") from error


def _checked(name: str, known: dict[str, Any]) -> dict[str, Any]:
    keys = ("state", "content") if is_pseudonym(name) else ("bytes", "changed_ns", "xxh3")
    return {key: known[key] for key in keys}
