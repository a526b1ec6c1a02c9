"""Content of the report on a build: facts that finished shards hold about their recordings."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.labels.natural_order import natural_key
from datamodules.shards.index import Index, read_index
from datamodules.shards.shard_file import open_shard
from datamodules.windows.cut import FAULTS, Reason
from datamodules.windows.quality.facts import RecordingFacts

# These reasons are about whole recordings, or stretches that are shorter than a window.
WHOLE = frozenset({Reason.CLOCKS.value, Reason.UNUSABLE.value})
NO_WINDOWS = WHOLE | {Reason.SHORT.value, Reason.REMAINDER.value}


@dataclass
class RecordingQuality:
    """One recording.

    Attributes:
        name: name of the recording.
        subject: the subject; empty if only the recording's name is known.
        facts: facts about the recording; None if it could not be used.
        starts: start times of the kept windows, ascending, seconds.
        activities: numbers of kept windows by activity ("" is unlabelled).
        faults: numbers of kept windows by fault.
        left_out: rows of ``Index.exclusions``, in the order of time.
    """

    name: str
    subject: str = ""
    facts: RecordingFacts | None = None
    starts: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    activities: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    left_out: list[dict[str, Any]] = field(default_factory=list)

    @property
    def kept(self) -> int:
        """Number of windows in the shards."""
        return int(self.starts.size)

    @cached_property
    def lost(self) -> Counter[str]:
        """Numbers of windows that were left out, by reason; ends that are shorter than a window do not count."""
        return Counter(str(row["reason"]) for row in self.left_out if row["reason"] not in NO_WINDOWS)

    @property
    def unusable(self) -> str:
        """Reason why the recording could not be used; empty if it was used."""
        return next((str(row["detail"]) for row in self.left_out if row["reason"] == Reason.UNUSABLE.value), "")


@dataclass(frozen=True)
class Quality:
    """A build.

    Attributes:
        directory: folder of the shards.
        index: index of the shards.
        recordings: recordings, in the natural order of subjects and names.
    """

    directory: Path
    index: Index
    recordings: list[RecordingQuality]

    @cached_property
    def by_subject(self) -> dict[str, list[RecordingQuality]]:
        """Recordings of each subject; recordings of unknown subjects are under ""."""
        found: dict[str, list[RecordingQuality]] = defaultdict(list)
        for recording in self.recordings:
            found[recording.subject].append(recording)
        return dict(sorted(found.items(), key=lambda item: (item[0] == "", natural_key(item[0]))))

    @property
    def known(self) -> list[RecordingFacts]:
        """Facts of the recordings that could be used."""
        return [recording.facts for recording in self.recordings if recording.facts is not None]

    @property
    def kept(self) -> int:
        """Number of windows in the shards."""
        return self.index.n_windows

    @cached_property
    def lost(self) -> Counter[str]:
        """Numbers of windows that were left out, by reason."""
        return sum((recording.lost for recording in self.recordings), Counter())

    @property
    def activities(self) -> list[str]:
        """Activities of the kept windows, in natural order; "" (unlabelled) last."""
        names = {name for recording in self.recordings for name in recording.activities}
        return sorted(names, key=lambda name: (name == "", natural_key(name)))


def gather(directory: str | Path) -> Quality:
    """Read the facts that finished shards hold about their recordings; no window and no frame is read.

    Raises:
        ShardError: the build did not finish, or a shard can't be read.
    """
    path = Path(directory)
    index = read_index(path)
    found: dict[str, RecordingQuality] = {}

    def of(name: str) -> RecordingQuality:
        return found.setdefault(name, RecordingQuality(name))

    starts: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    for entry in index.shards:
        shard = open_shard(path / entry.file)
        for facts in shard.facts():
            of(facts.recording).facts = facts
            of(facts.recording).subject = facts.subject
        codes, names = shard.codes("recording"), shard.tables["recording"]
        activities, subjects, bits = shard.strings("activity"), shard.strings("subject"), shard.array("faults")
        times = np.asarray(shard.array("start_s"))
        order = np.argsort(codes, kind="stable")
        edges = np.searchsorted(codes[order], np.arange(len(names) + 1))
        for name, first, last in zip(names, edges[:-1], edges[1:], strict=True):
            rows = order[first:last]
            recording = of(name)
            recording.subject = str(subjects[rows[0]]) if rows.size else recording.subject
            starts[name].append(times[rows])
            recording.activities.update(activities[rows].tolist())
            for bit, fault in enumerate(FAULTS):
                shown = int((bits[rows] >> bit & 1).sum())
                recording.faults.update({fault.value: shown} if shown else {})
    for row in index.exclusions:
        of(str(row["recording"])).left_out.append(row)
    for name, recording in found.items():
        recording.starts = np.sort(np.concatenate([np.empty(0), *starts[name]]))
        recording.left_out.sort(key=lambda row: float(row["start_s"]))
    ordered = sorted(found.values(), key=lambda one: (natural_key(one.subject), natural_key(one.name)))
    return Quality(path, index, ordered)
