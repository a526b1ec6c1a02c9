"""The parts of a shard: files of limited size that together hold a group's windows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from datamodules.build.stages import StageTimes
from datamodules.shards import layout
from datamodules.shards.layout import ShardError
from datamodules.shards.shard_file import ShardFile, open_shard
from datamodules.shards.writer import EncodedWindow, ShardHeader, write_shard
from datamodules.windows.cut import FAULTS, Exclusion, Reason, Window, WindowSettings
from datamodules.windows.quality.facts import RecordingFacts


@dataclass(frozen=True)
class PartFiles:
    """The part files of one shard or piece.

    Attributes:
        directory: folder of the files.
        stem: prefix of the files' names, before the number of the part.
        group: number of the group of recordings.
        build_hash: digest of all inputs that determine the files' bytes.
    """

    directory: Path
    stem: str
    group: int
    build_hash: str

    def path(self, part: int) -> Path:
        """Return the file of one part."""
        return self.directory / f"{self.stem}-{part:02d}.h5"

    def find_complete(self) -> list[Path] | None:
        """Return the files in order, or None if a file is missing, damaged or of another build."""
        files: list[Path] = []
        while True:
            path = self.path(len(files))
            if not path.is_file():
                return None
            try:
                attributes = open_shard(path).attributes
            except ShardError:
                return None
            if attributes.get("build_hash") != self.build_hash or "last_part" not in attributes:
                return None
            files.append(path)
            if attributes["last_part"]:
                return files

    def remove(self) -> None:
        """Delete all files."""
        for path in self.directory.glob(f"{self.stem}-*.h5"):
            path.unlink(missing_ok=True)


@dataclass
class ShardParts:
    """A writer that collects windows and writes a part when it is full.

    Attributes:
        files: files to write.
        settings: settings that the windows were cut with.
        source: name of the source.
        limit: approximate largest part, bytes.
        stages: receives the time of writing.
        simulated: True if any recording so far is simulated.
        exclusions: exclusions for the next part.
        facts: facts for the next part.
    """

    files: PartFiles
    settings: WindowSettings
    source: str
    limit: int
    stages: StageTimes
    simulated: bool = False
    exclusions: list[Exclusion] = field(default_factory=list)
    facts: list[RecordingFacts] = field(default_factory=list)
    _windows: list[EncodedWindow] = field(default_factory=list)
    _size: int = 0
    _written: int = 0

    def add(self, window: EncodedWindow) -> None:
        """Add the next window; write the current part first if the window does not fit into it."""
        if self._windows and self._size + window.nbytes > self.limit:
            self._flush(last=False)
        self._windows.append(window)
        self._size += window.nbytes

    def close(self) -> None:
        """Write the last part; without it, the shard is incomplete."""
        self._flush(last=True)

    def _flush(self, last: bool) -> None:
        with self.stages.timed("write"):
            files = self.files
            header = ShardHeader(
                self.settings, self.source, self.simulated, files.build_hash, files.group, self._written, last
            )
            write_shard(files.path(self._written), header, self._windows, self.exclusions, self.facts)
        self._windows.clear()
        self.exclusions.clear()
        self.facts.clear()
        self._size = 0
        self._written += 1


def read_windows(shard: ShardFile) -> Iterator[EncodedWindow]:
    """Yield the windows of a shard as the writer got them, except ``frame_indices``, which are all -1.

    Raises:
        ShardError: a window's checksum is wrong.
    """
    checked = [shard.array(name) for name in layout.CHECKED]
    imu, sample_mask, channel_mask, frame_times, frame_mask = checked
    strings = {code: shard.strings(code) for code in layout.CODES}
    frames, offsets, starts = shard.array("frames"), shard.array("frame_offsets"), shard.array("start_s")
    bits, sums = shard.array("faults"), shard.array("checksum")
    f = frame_times.shape[1]
    for n in range(shard.n_windows):
        ends = offsets[n * f : (n + 1) * f + 1].tolist()
        jpegs = tuple(frames[a:b].tobytes() for a, b in itertools.pairwise(ends))
        if layout.checksum([array[n] for array in checked], b"".join(jpegs)) != int(sums[n]):
            raise ShardError(f"{shard.path}: window {n} is damaged: its checksum differs")
        window = Window(
            **{code: str(strings[code][n]) for code in layout.CODES},
            start_s=float(starts[n]),
            imu=np.array(imu[n]),
            sample_mask=sample_mask[n].astype(bool),
            channel_mask=channel_mask[n].astype(bool),
            frame_indices=np.full(f, -1),
            frame_times=np.array(frame_times[n]),
            frame_mask=frame_mask[n].astype(bool),
            faults=tuple(fault for i, fault in enumerate(FAULTS) if int(bits[n]) >> i & 1),
        )
        yield EncodedWindow(window, jpegs)


def read_exclusions(shard: ShardFile) -> list[Exclusion]:
    """Read the exclusions of a shard."""
    return [Exclusion(**{**row, "reason": Reason(row["reason"])}) for row in shard.exclusions()]
