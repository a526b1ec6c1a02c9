"""Plan of a build: groups of recordings, their tasks, and the files and digests of each group."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from core.digest import digest_of
from datamodules.build.encode import BuildJob
from datamodules.build.parts import PartFiles
from datamodules.build.tasks import PIECES, PackTask, RecordingTask
from datamodules.shards import layout


@dataclass(frozen=True)
class BuildPlan:
    """The groups of a build and their tasks.

    Attributes:
        job: settings of the build.
        groups: names of the recordings in each group; a group becomes a shard.
    """

    job: BuildJob
    groups: tuple[tuple[str, ...], ...]

    @cached_property
    def index_description(self) -> dict[str, Any]:
        """The build's description with a digest of the recordings' names, which change when a source grows."""
        return {**self.job.description, "recordings_digest": digest_of(self.groups)}

    @property
    def index_hash(self) -> str:
        """Digest of ``index_description``."""
        return digest_of(self.index_description)

    def shard(self, group: int) -> PartFiles:
        """Return the files of a group's shard."""
        digest = digest_of([self.job.description, self.groups[group], group])
        return PartFiles(self.job.directory, layout.shard_stem(group), group, digest)

    def recording_tasks(self, group: int) -> list[RecordingTask]:
        """Return the tasks for a group's recordings that have no complete piece yet."""
        names = self.groups[group]
        if len(names) == 1:
            return [RecordingTask(self.job, names[0], self.shard(group))]
        tasks = [RecordingTask(self.job, name, piece) for name, piece in zip(names, self._pieces(group), strict=True)]
        return [task for task in tasks if task.files.find_complete() is None]

    def pack_task(self, group: int) -> PackTask:
        """Return the task that packs a group's pieces into a shard."""
        return PackTask(self.job, self._pieces(group), self.shard(group))

    def _pieces(self, group: int) -> tuple[PartFiles, ...]:
        return tuple(
            PartFiles(
                self.job.directory / PIECES,
                f"{layout.shard_stem(group)}-{number:04d}",
                group,
                digest_of([self.job.description, name]),
            )
            for number, name in enumerate(self.groups[group])
        )
