"""The files that recordings were read from: noted by a build, and compared when its shards are opened.

``sources.json``, beside the index, has size, time of the last change and digest of each file. A file of the same size
and time is taken for unchanged; of others the digest decides. A file that is not there is no fault: shards are often
used where the raw recordings are not.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import xxhash

from core.digest import digest_of
from core.durable import write_json
from core.errors import MendableError
from datamodules.recording import Recording

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


def note(directory: Path, name: str, files: Iterable[Path]) -> None:
    """Note the files of one recording in a build's folder."""
    content = {"recording": name, "files": {str(path): _state(path) for path in files}}
    if not content["files"]:
        return
    (directory / NOTES).mkdir(exist_ok=True)
    write_json(directory / NOTES / f"{digest_of(name)[:16]}.json", content)


def collect(directory: Path) -> None:
    """Write ``sources.json`` from the notes of all recordings, and delete these."""
    notes = sorted((directory / NOTES).glob("*.json"))
    if not notes:
        return
    files = _read(directory / SOURCES) if (directory / SOURCES).is_file() else {}
    for path in notes:
        files |= _read(path)
    write_json(directory / SOURCES, {"files": dict(sorted(files.items()))})
    for path in notes:
        path.unlink()
    (directory / NOTES).rmdir()


def refuse_changed(directory: Path) -> None:
    """Compare the files that shards were built from with what they were; absent files are passed over.

    Raises:
        ChangedSourceError: a file has changed; the message names it.
    """
    # A build of version 0.2.0 or earlier has noted nothing; one that was interrupted has only the notes.
    paths = [directory / SOURCES, *sorted((directory / NOTES).glob("*.json"))]
    for name, known in [row for path in paths if path.is_file() for row in _read(path).items()]:
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
        return {
            str(name): {key: known[key] for key in ("bytes", "changed_ns", "xxh3")} for name, known in files.items()
        }
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ChangedSourceError(f"{path}: damaged: not the files that shards were built from; delete it") from error
