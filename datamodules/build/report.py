"""Report of a build, and the history of builds beside the shards."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.durable import write_json
from core.plural import plural
from datamodules.build import stages
from datamodules.shards import layout
from datamodules.shards.index import Index
from datamodules.windows.cut import Reason

HISTORY = "build-runs.json"
_MAX_LISTED = 20  # unusable recordings in the summary


@dataclass(frozen=True)
class BuildReport:
    """The result of a build; ``str()`` gives a summary for people.

    Attributes:
        directory: folder of the shards.
        index: index of the shards, with the exclusions.
        recordings: number of the source's recordings, after the choice of subjects.
        reused: number of groups whose shards existed before; a group is one shard unless it is too large.
        built: number of groups built now.
        seconds: wall-clock time.
        scheduler: name of the scheduler, e.g. ``2 processes``.
        stages: seconds by stage (``build.stages.STAGES``), summed over processes.
    """

    directory: Path
    index: Index
    recordings: int
    reused: int
    built: int
    seconds: float
    scheduler: str = ""
    stages: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        index = self.index
        note = " (simulated)" if index.simulated else ""
        rate = f", {self.built} built in {self.seconds:.1f} s" if self.built else ""
        lines = [
            f"{self.directory}{note}: {plural(index.n_windows, 'window')} of"
            f" {plural(self.recordings, 'recording')} in {plural(len(index.shards), 'shard')}"
            f" ({self.reused} were there{rate})"
        ]
        reasons = Counter(str(row["reason"]) for row in index.exclusions)
        for reason, count in reasons.most_common():
            lines.append(f"  left out, {reason}: {count}")
        unusable = [row for row in index.exclusions if row["reason"] == Reason.UNUSABLE.value]
        lines += [f"    {row['recording']}: {row['detail']}" for row in unusable[:_MAX_LISTED]]
        if len(unusable) > _MAX_LISTED:
            lines.append(f"    and {len(unusable) - _MAX_LISTED} more, all of them in {self.directory / layout.INDEX}")
        for fault, count in index.counts["fault"].items():
            lines.append(f"  kept though marked, {fault}: {count}")
        if clocks := index.counts.get("clocks"):
            lines.append("  clocks of camera and sensor: " + ", ".join(f"{what} {n}" for what, n in clocks.items()))
        for how, count in index.counts.get("decoders", {}).items():
            lines.append(f"  video not read by decord, but by {how}: {count}")
        for what in ("subject", "activity"):
            counts = ", ".join(f"{name or 'unlabelled'} {n}" for name, n in index.counts[what].items())
            lines.append(f"  by {what}: {counts or 'none'}")
        if self.built and any(self.stages.values()):
            lines.append(f"  where the time went, summed over {self.scheduler}:")
            lines += [f"    {line}" for line in stages.describe(self.stages)]
        return "\n".join(lines)


def _earlier(path: Path) -> list[Any]:
    """Read the earlier runs; a damaged history is set aside, since no shard depends on it."""
    try:
        runs = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    except (ValueError, RecursionError):  # neither UTF-8 nor JSON
        runs = None
    if isinstance(runs, list):
        return runs
    path.replace(path.with_name(f"{path.name}.damaged"))
    return []


def append_history(report: BuildReport) -> None:
    """Append this run to the folder's history of builds."""
    path = report.directory / HISTORY
    runs = _earlier(path)
    runs.append(
        {
            "ended": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "scheduler": report.scheduler,
            "recordings": report.recordings,
            "groups_built": report.built,
            "groups_reused": report.reused,
            "seconds": round(report.seconds, 3),
            "stages": {stage: round(seconds, 3) for stage, seconds in report.stages.items()},
        }
    )
    write_json(path, runs)
