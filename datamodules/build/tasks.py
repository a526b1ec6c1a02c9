"""The tasks that a build consists of: one for each recording, and one for each shard of several recordings.

A recording's task writes a *piece*: a shard of that recording alone, in a folder of its own. When all pieces of a
shard are there, another task puts them together and deletes them. So recordings are built next to each other however
many of them a shard holds, and a build that is killed loses no more than the recordings that were under way. Both
tasks write the same bytes each time and name a file when it is whole, so it does no harm if one is done twice, be it
on two machines at once.
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
from datamodules.build.encode import BuildJob, encode_recording
from datamodules.build.parts import PartFiles, ShardParts, read_exclusions, read_windows
from datamodules.build.stages import StageTimes
from datamodules.recording import RecordingError
from datamodules.shards.layout import ShardError
from datamodules.shards.shard_file import open_shard
from datamodules.sources.registry import Source, make_source
from datamodules.windows.cut import Exclusion, Reason

PIECES = "pieces"
_last = threading.local()


class BuildError(MendableError, ValueError):
    """A build that can't be done as asked; the message says what was found and what is expected."""


@dataclass(frozen=True)
class RecordingTask:
    """Read one recording and write its windows to ``files``: a piece, or a shard that holds nothing else."""

    job: BuildJob
    name: str
    files: PartFiles

    @property
    def title(self) -> str:
        """For messages."""
        return f"recording {self.name}"

    def run(self) -> dict[str, float]:
        """Do it; returns seconds by stage.

        Raises:
            RecordingError: the recording can't be used and ``job.raise_bad`` is set.
        """
        stages = StageTimes()
        note = _note(self.job.directory, self.name)
        note.write_text(self.name, encoding="utf-8")
        try:
            parts = self._parts(stages)
            try:
                encode_recording(self.job, _source(self.job), self.name, parts, stages)
            except RecordingError as error:
                if self.job.raise_bad:
                    raise
                # Parts that were written already are written over, or are followed by none.
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
    """Put the pieces of several recordings together to one shard, and delete them."""

    job: BuildJob
    pieces: tuple[PartFiles, ...]
    files: PartFiles

    @property
    def title(self) -> str:
        """For messages."""
        return f"shard {self.files.path(0).name}"

    def run(self) -> dict[str, float]:
        """Do it; returns seconds by stage.

        Raises:
            BuildError: a piece is gone or damaged.
        """
        stages, writing = StageTimes(), StageTimes()
        with stages.timed("pack"):
            # Another worker that was thought dead may have done it, and deleted the pieces.
            if self.files.whole() is None:
                try:
                    self._pack(writing)
                except BuildError:
                    # ... or may have done so since, pieces under way included.
                    if self.files.whole() is None:
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
            for file in piece.whole() or [piece.path(0)]:
                shard = open_shard(file)
                parts.simulated |= bool(shard.attributes["simulated"])
                for window in read_windows(shard):
                    parts.add(window)
                parts.exclusions += read_exclusions(shard)
                parts.facts += shard.facts()
        except (ShardError, FileNotFoundError) as error:
            piece.remove()
            raise BuildError(f"{error}; it was removed: start the same build again") from error


Task = RecordingTask | PackTask


def run_task(task: Task) -> dict[str, float]:
    """Do a task; returns seconds by stage."""
    return task.run()


def at_work(directory: Path) -> list[str]:
    """Recordings that were being read when their worker died."""
    names = []
    for path in directory.glob(f"{TEMPORARY}reading-*"):
        # Those that live may be done with theirs just now.
        with contextlib.suppress(FileNotFoundError):
            names.append(path.read_text(encoding="utf-8"))
    return sorted(names)


def _note(directory: Path, name: str) -> Path:
    """File with the recording that is being read, for the message if the worker dies."""
    return directory / f"{TEMPORARY}reading-{digest_of(name)[:16]}-{os.getpid()}"


def _open_parts(job: BuildJob, files: PartFiles, stages: StageTimes) -> ShardParts:
    files.directory.mkdir(exist_ok=True)
    return ShardParts(
        files, job.settings, str(job.description["source"]), int(job.description["max_shard_bytes"]), stages
    )


def _source(job: BuildJob) -> Source:
    """The build's source; each thread keeps the last one, as listing a large folder takes its time."""
    if getattr(_last, "token", None) != job.token:
        _last.source = make_source(job.description["source"], job.description["params"])
        _last.token = job.token
    source: Source = _last.source
    return source
