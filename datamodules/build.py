"""Recordings -> shards: parallel, resumable, and the same bytes whatever happens on the way.

A group of recordings becomes one shard (more, if it grows too large), and a shard's bytes depend on its
recordings and the settings alone. So a build that was killed keeps its whole shards and goes on with the
others, on any number of workers. ::

    report = build("utd_mhad", {}, "data/utd", WindowSettings(layout="centred"), camera="depth")
    print(report)
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datamodules.build_group import BuildPlan, build_group, group_files, make_source, start_worker
from datamodules.shards import layout
from datamodules.shards.index import Index, ShardEntry, read_index
from datamodules.shards.shard_file import open_shard
from datamodules.sources.registry import Source
from datamodules.windows import ANY_PLACEMENT, FAULTS, Reason, WindowSettings

PLAN = "build.json"
_LOCK = "build.lock"
Progress = Callable[[int, int], None]


class BuildError(ValueError):
    """A build that can't be done as asked; the message says what was found and what is expected."""


@dataclass(frozen=True)
class BuildReport:
    """What a build made; ``str()`` is a summary for people.

    Attributes:
        directory: of the shards.
        index: what is in them, and what was left out.
        recordings: how many the source has, after the choice of subjects.
        reused: shards that were there already.
        built: shards that were built now.
        seconds: wall clock.
    """

    directory: Path
    index: Index
    recordings: int
    reused: int
    built: int
    seconds: float

    def __str__(self) -> str:
        index = self.index
        note = " (simulated)" if index.simulated else ""
        rate = f", {self.built} built in {self.seconds:.1f} s" if self.built else ""
        lines = [
            f"{self.directory}{note}: {index.n_windows} windows of {self.recordings} recordings "
            f"in {len(index.shards)} shards ({self.reused} were there{rate})"
        ]
        reasons = Counter(str(row["reason"]) for row in index.exclusions)
        for reason, count in reasons.most_common():
            lines.append(f"  left out, {reason}: {count}")
        for row in index.exclusions:
            if row["reason"] == Reason.UNUSABLE.value:
                lines.append(f"    {row['recording']}: {row['detail']}")
        for fault, count in index.counts["fault"].items():
            lines.append(f"  kept though marked, {fault}: {count}")
        for what in ("subject", "activity"):
            counts = ", ".join(f"{name or 'unlabelled'} {n}" for name, n in index.counts[what].items())
            lines.append(f"  by {what}: {counts or 'none'}")
        return "\n".join(lines)


def build(
    source_name: str,
    params: Mapping[str, Any],
    directory: str | Path,
    settings: WindowSettings,
    placement: str = ANY_PLACEMENT,
    camera: str | None = None,
    *,
    subjects: Sequence[str] = (),
    workers: int = 0,
    recordings_per_shard: int = 32,
    max_shard_bytes: int = 256 << 20,
    on_bad: str = "exclude",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> BuildReport:
    """Build, finish or just confirm a directory of shards.

    Args:
        source_name: a source of ``datamodules/sources``.
        params: that source's settings.
        directory: where the shards go; it may hold an unfinished build of the same settings.
        settings: how windows are cut.
        placement: which sensor; ``any`` takes a recording's only one.
        camera: which camera; None or empty builds shards without video.
        subjects: only these; empty takes all.
        workers: processes; 0 takes one a core, 1 builds in this process.
        recordings_per_shard: a shard is the unit of resuming.
        max_shard_bytes: a group of recordings that takes more is split into several files.
        on_bad: ``exclude`` lists a recording that raises a RecordingError in the index, ``raise`` stops.
        overwrite: throw away what an earlier build left there, whatever its settings.
        progress: called with (groups done, groups in all).

    Raises:
        BuildError: the settings make no sense, or the directory holds shards of other settings.
        RecordingError: with ``on_bad="raise"``.
    """
    started = time.monotonic()
    if on_bad not in ("exclude", "raise"):
        raise BuildError(f"on_bad is '{on_bad}'; expected 'exclude' or 'raise'")
    if recordings_per_shard < 1 or max_shard_bytes < 1 or workers < 0:
        raise BuildError(
            f"recordings_per_shard is {recordings_per_shard}, max_shard_bytes {max_shard_bytes}, "
            f"workers {workers}; expected at least 1, 1 and 0"
        )
    try:
        settings.check()
    except ValueError as error:
        raise BuildError(str(error)) from error
    if not camera:
        settings = dataclasses.replace(settings, frames=0)

    path = Path(directory)
    source = make_source(source_name, params)
    groups = _groups(source_name, source, params, subjects, recordings_per_shard)
    # Through JSON, so that what is compared with a file is what a file can hold.
    described: dict[str, Any] = json.loads(
        layout.canonical(
            {
                "version": layout.VERSION,
                "source": source_name,
                "params": dict(params),
                "placement": placement,
                "camera": camera or "",
                "subjects": sorted(subjects),
                "window": dataclasses.asdict(settings),
                "recordings_per_shard": recordings_per_shard,
                "max_shard_bytes": max_shard_bytes,
                **({"manifest": fingerprint} if (fingerprint := source.fingerprint()) else {}),
            }
        )
    )
    plan = BuildPlan(path, described, settings, on_bad == "raise", groups)
    path.mkdir(parents=True, exist_ok=True)
    with _locked(path / _LOCK):
        _prepare(path, described, overwrite)
        index = _finished(path, plan)
        built = 0
        if index is None:
            todo = [g for g in range(len(groups)) if group_files(plan, g) is None]
            _build_groups(plan, todo, workers or os.cpu_count() or 1, progress)
            built, index = len(todo), _write_index(plan)
    kept = len(groups) - built
    recordings = sum(map(len, groups))
    return BuildReport(path, index, recordings, kept, built, time.monotonic() - started)


def _groups(
    source_name: str, source: Source, params: Mapping[str, Any], subjects: Sequence[str], size: int
) -> tuple[tuple[str, ...], ...]:
    names = source.names()
    if len(set(names)) != len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise BuildError(f"source {source_name}: two recordings are named '{twice}'")
    if subjects:
        owners = {name: source.subject_of(name) for name in names}
        # Whose recording it is may only be known once it is loaded; the worker drops it then.
        chosen = [n for n in names if owners[n] is None or owners[n] in subjects]
        missing = sorted(set(subjects) - set(owners.values()))
        if missing and None not in owners.values():
            found = ", ".join(sorted({str(owner) for owner in owners.values()}))
            raise BuildError(f"source {source_name}: no subject '{missing[0]}'; it has: {found or 'none'}")
        names = chosen
    if not names:
        raise BuildError(f"source {source_name}: no recordings with params {dict(params)}")
    return tuple(tuple(names[i : i + size]) for i in range(0, len(names), size))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Two builds of one directory wait for each other; a killed one lets go by itself."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _prepare(path: Path, described: dict[str, Any], overwrite: bool) -> None:
    """Make sure that what lies in the directory belongs to this build."""
    for leftover in path.glob(f"{layout.TEMPORARY}*"):
        leftover.unlink()
    if overwrite:
        for file in [path / layout.INDEX, path / PLAN, *path.glob("windows-*.h5")]:
            file.unlink(missing_ok=True)
    if (path / PLAN).exists():
        try:
            found = json.loads((path / PLAN).read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise BuildError(f"{path / PLAN}: not JSON: {error}; build with overwrite") from error
        differences = list(_differences(found, described))
        if differences:
            raise BuildError(
                f"{path} holds shards that were built with other settings: {'; '.join(differences)}. "
                "Take another directory, delete this one, or build with overwrite"
            )
        return
    foreign = sorted(p.name for p in path.glob("windows-*.h5"))
    if foreign:
        raise BuildError(f"{path} holds {foreign[0]} but no {PLAN}; take another directory")
    layout.write_json(path / PLAN, described)


def _differences(found: Any, asked: Any, name: str = "") -> Iterator[str]:
    if isinstance(found, dict) and isinstance(asked, dict):
        for key in sorted(set(found) | set(asked)):
            yield from _differences(found.get(key), asked.get(key), f"{name}.{key}" if name else key)
    elif found != asked:
        yield f"{name} was {found!r} and is {asked!r}"


def _finished(path: Path, plan: BuildPlan) -> Index | None:
    """The index of a build that has nothing left to do."""
    if not (path / layout.INDEX).exists():
        return None
    index = read_index(path)
    whole = all((path / e.file).is_file() and (path / e.file).stat().st_size == e.bytes for e in index.shards)
    return index if whole and index.build_hash == plan.index_hash else None


def _build_groups(plan: BuildPlan, todo: list[int], workers: int, progress: Progress | None) -> None:
    total = len(plan.groups)
    done = total - len(todo)
    if progress:
        progress(done, total)
    if workers == 1 or len(todo) <= 1:
        for group in todo:
            build_group(plan, group)
            done += 1
            if progress:
                progress(done, total)
        return
    # Forked from a server that has imported everything and run nothing: the threads that this process may
    # have started would not survive a fork, and importing torch in every worker takes seconds.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["datamodules.build_group"])
    with ProcessPoolExecutor(min(workers, len(todo)), context, start_worker) as pool:
        pending = {pool.submit(build_group, plan, group) for group in todo}
        try:
            while pending:
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                    done += 1
                    if progress:
                        progress(done, total)
        except BrokenProcessPool as error:
            at_work = ", ".join(plan.at_work()) or "unknown"
            raise BuildError(
                f"{plan.directory}: a worker died without an error (killed, out of memory, or a crash in a "
                f"decoder) while these recordings were being read: {at_work}. What was finished is kept"
            ) from error
        finally:
            # After an error, groups that no worker has begun are not begun.
            pool.shutdown(cancel_futures=True)


def _write_index(plan: BuildPlan) -> Index:
    """Read back every shard and sum up."""
    entries: list[ShardEntry] = []
    columns: dict[str, Counter[str]] = {code: Counter() for code in layout.CODES}
    faults: Counter[str] = Counter()
    exclusions: list[dict[str, Any]] = []
    simulated = False
    for group in range(len(plan.groups)):
        files = group_files(plan, group)
        if files is None:
            raise BuildError(f"{plan.directory}: the shards of group {group} vanished while building")
        for file in files:
            shard = open_shard(file)
            entries.append(ShardEntry(file.name, shard.n_windows, file.stat().st_size, layout.file_digest(file)))
            for code in layout.CODES:
                columns[code].update(str(value) for value in shard.strings(code))
            bits = shard.array("faults")
            faults.update(
                {fault.value: int((bits >> i & 1).sum()) for i, fault in enumerate(FAULTS)},
            )
            exclusions += shard.exclusions()
            simulated |= bool(shard.attributes["simulated"])
    expected = {entry.file for entry in entries}
    for stray in plan.directory.glob("windows-*.h5"):
        if stray.name not in expected:
            stray.unlink()
    index = Index(
        build=plan.index_description,
        build_hash=plan.index_hash,
        settings=plan.settings,
        simulated=simulated,
        shards=tuple(entries),
        tables={code: sorted(set(columns[code]) - {""}) for code in layout.CODES},
        counts={
            "subject": dict(sorted(columns["subject"].items())),
            "activity": dict(sorted(columns["activity"].items())),
            "fault": {name: n for name, n in sorted(faults.items()) if n},
        },
        exclusions=tuple(exclusions),
    )
    index.write(plan.directory)
    return index
