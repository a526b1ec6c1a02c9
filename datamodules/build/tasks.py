"""The tasks of a build: one for each recording, and one for each shard of several recordings.

A recording's task writes a *piece*: a shard of this recording alone, in a separate folder. When all pieces of a shard
exist, another task packs them into the shard and deletes them. So recordings are built in parallel, however many of
them a shard holds, and a killed build loses only the recordings in progress. Both tasks always write the same bytes,
and rename a file only when it is complete. So a task may run twice without harm, even on two machines at once.
"""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path

from core.digest import digest_of
from core.durable import TEMPORARY
from core.errors import MendableError
from core.room import naming_the_path, out_of_files, too_many_files
from datamodules.build.encode import BuildJob, encode_recording
from datamodules.build.parts import PartFiles, ShardParts, read_exclusions, read_windows
from datamodules.build.stages import StageTimes
from datamodules.recording import RecordingError
from datamodules.shards.layout import ShardError
from datamodules.shards.shard_file import open_shard
from datamodules.sources.registry import Source
from datamodules.windows.cut import Exclusion, Reason

PIECES = "pieces"
_last = threading.local()


class BuildError(MendableError, ValueError):
    """A build is impossible with these settings; the message names the value found and the value expected."""


@dataclass(frozen=True)
class RecordingTask:
    """Task: read one recording and write its windows to ``files``, a piece or a shard of this recording alone."""

    job: BuildJob
    name: str
    files: PartFiles

    @property
    def title(self) -> str:
        """Title for messages."""
        return f"recording {self.name}"

    def run(self) -> dict[str, float]:
        """Do the task; return seconds by stage.

        Raises:
            RecordingError: the recording is unusable, and ``job.raise_bad`` is True.
        """
        stages = StageTimes()
        note = _note(self.job.directory, self.name)
        with naming_the_path(note):
            note.write_text(self.name, encoding="utf-8")
        try:
            parts = self._parts(stages)
            try:
                encode_recording(self.job, _source(self.job), self.name, parts, stages)
            except RecordingError as error:
                if out_of_files(error):  # says nothing about the recording
                    raise BuildError(f"{self.title}: {error}; {too_many_files()}") from error
                if self.job.raise_bad:
                    raise
                # Parts written before the error are overwritten, or lie behind the last part and do not count.
                parts = self._parts(stages)
                parts.exclusions.append(Exclusion(self.name, 0.0, Reason.UNUSABLE, str(error)))
            parts.close()
        finally:
            note.unlink(missing_ok=True)
        return stages.seconds

    def _parts(self, stages: StageTimes) -> ShardParts:
        return _open_parts(self.job, self.files, stages)


@dataclass(frozen=True)
class PackTask:
    """Task: pack the pieces of several recordings into one shard, and delete the pieces."""

    job: BuildJob
    pieces: tuple[PartFiles, ...]
    files: PartFiles

    @property
    def title(self) -> str:
        """Title for messages."""
        return f"shard {self.files.path(0).name}"

    def run(self) -> dict[str, float]:
        """Do the task; return seconds by stage.

        Raises:
            BuildError: a piece is missing or damaged.
        """
        stages, writing = StageTimes(), StageTimes()
        with stages.timed("pack"):
            # Another worker, wrongly taken for dead, may have packed the shard and deleted the pieces already.
            if self.files.find_complete() is None:
                try:
                    self._pack(writing)
                except BuildError:
                    # That worker may also have finished while this one was packing.
                    if self.files.find_complete() is None:
                        raise
            for piece in self.pieces:
                piece.remove()
        stages.seconds["write"] = writing.seconds["write"]
        stages.seconds["pack"] -= writing.seconds["write"]
        return stages.seconds

    def _pack(self, writing: StageTimes) -> None:
        parts = _open_parts(self.job, self.files, writing)
        for piece in self.pieces:
            self._append(piece, parts)
        parts.close()

    def _append(self, piece: PartFiles, parts: ShardParts) -> None:
        try:
            for file in piece.find_complete() or [piece.path(0)]:
                shard = open_shard(file)
                parts.simulated |= bool(shard.attributes["simulated"])
                for window in read_windows(shard):
                    parts.add(window)
                parts.exclusions += read_exclusions(shard)
                parts.facts += shard.facts()
        except (ShardError, FileNotFoundError) as error:
            piece.remove()
            raise BuildError(f"{error}; the piece was removed: start the same build again") from error


Task = RecordingTask | PackTask


def run_task(task: Task) -> dict[str, float]:
    """Do a task; return seconds by stage."""
    return task.run()


def recordings_in_progress(directory: Path) -> list[str]:
    """Return the recordings that live workers read now, or that dead workers read last."""
    names = []
    for path in directory.glob(f"{TEMPORARY}reading-*"):
        # A live worker may finish its recording and remove its note at any moment.
        with contextlib.suppress(FileNotFoundError):
            names.append(path.read_text(encoding="utf-8"))
    return sorted(names)


def _note(directory: Path, name: str) -> Path:
    """Return the file that holds the name of a recording in progress, for the message if the worker dies."""
    return directory / f"{TEMPORARY}reading-{digest_of(name)[:16]}-{os.getpid()}"


def _open_parts(job: BuildJob, files: PartFiles, stages: StageTimes) -> ShardParts:
    files.directory.mkdir(exist_ok=True)
    return ShardParts(
        files, job.settings, str(job.description["source"]), int(job.description["max_shard_bytes"]), stages
    )


def _source(job: BuildJob) -> Source:
    """Return the build's source. Each thread keeps its last source, since listing a large folder takes long."""
    if getattr(_last, "token", None) != job.token:
        _last.source = job.inputs.open()
        _last.token = job.token
    source: Source = _last.source
    return source
