"""Writer of the index of a build whose shards are all complete."""

from __future__ import annotations

from collections import Counter
from typing import Any

from core.digest import file_digest
from datamodules.build.plan import BuildPlan
from datamodules.build.tasks import BuildError
from datamodules.clock_sync.apply_offset import describe_agreement
from datamodules.shards import layout
from datamodules.shards.index import Index, ShardEntry
from datamodules.shards.shard_file import open_shard
from datamodules.windows.cut import FAULTS


def write_index(plan: BuildPlan) -> Index:
    """Read every shard, write the index, and delete shards that do not belong to this build.

    Raises:
        BuildError: a shard is missing.
    """
    entries: list[ShardEntry] = []
    columns: dict[str, Counter[str]] = {code: Counter() for code in layout.CODES}
    faults: Counter[str] = Counter()
    clocks: Counter[str] = Counter()
    exclusions: list[dict[str, Any]] = []
    decoders: Counter[str] = Counter()
    simulated = False
    for group in range(len(plan.groups)):
        files = plan.shard(group).find_complete()
        if files is None:
            raise BuildError(f"{plan.job.directory}: the shards of group {group} disappeared during the build")
        for file in files:
            shard = open_shard(file)
            entries.append(ShardEntry(file.name, shard.n_windows, file.stat().st_size, file_digest(file)))
            for code in layout.CODES:
                columns[code].update(str(value) for value in shard.strings(code))
            bits = shard.array("faults")
            faults.update(
                {fault.value: int((bits >> i & 1).sum()) for i, fault in enumerate(FAULTS)},
            )
            exclusions += shard.exclusions()
            clocks.update(describe_agreement(facts.clock) for facts in shard.facts())
            # Without the words in brackets, which differ from file to file.
            decoders.update(facts.decoder.split(" (")[0] for facts in shard.facts())
            simulated |= bool(shard.attributes["simulated"])
    expected = {entry.file for entry in entries}
    for stray in plan.job.directory.glob("windows-*.h5"):
        if stray.name not in expected:
            stray.unlink()
    index = Index(
        build=plan.index_description,
        build_hash=plan.index_hash,
        settings=plan.job.settings,
        simulated=simulated,
        shards=tuple(entries),
        tables={code: sorted(set(columns[code]) - {""}) for code in layout.CODES},
        counts={
            "subject": dict(sorted(columns["subject"].items())),
            "activity": dict(sorted(columns["activity"].items())),
            "fault": {name: n for name, n in sorted(faults.items()) if n},
            "clocks": {name: n for name, n in sorted(clocks.items()) if name},
            "decoders": {name: n for name, n in sorted(decoders.items()) if name},
        },
        exclusions=tuple(exclusions),
    )
    index.write(plan.job.directory)
    return index
