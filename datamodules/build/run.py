"""The build of shards from recordings: parallel, resumable and reproducible to the byte.

A group of recordings becomes one shard, or several if it is too large. A shard's bytes depend on its recordings and
the settings alone. So a killed build can go on with the unfinished recordings, on any number of workers, on one machine
or many (``build.scheduler``). ::

    report = build("utd_mhad", {}, "data/utd", WindowSettings(layout="centred"), camera="depth")
    print(report)
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.bounds import read_json
from core.digest import canonical
from core.durable import TEMPORARY, write_json
from core.room import is_read_only
from core.settings import check_settings
from datamodules.build import origins
from datamodules.build.choose_scheduler import choose_scheduler
from datamodules.build.encode import BuildJob
from datamodules.build.plan import BuildPlan
from datamodules.build.report import HISTORY, BuildReport, append_history
from datamodules.build.stages import StageTimes
from datamodules.build.tasks import PIECES, BuildError, RecordingTask, Task
from datamodules.build.write_index import write_index
from datamodules.clock_sync.apply_offset import DEFAULT_CLOCKS, parse_clocks_mode
from datamodules.io.worker_process import imports_main
from datamodules.privacy.pseudonyms import SUBJECT, Pseudonyms
from datamodules.privacy.source import SourceInputs
from datamodules.shards import layout
from datamodules.shards.index import Index, read_index
from datamodules.sources.registry import Source
from datamodules.windows.cut import ANY_PLACEMENT, WindowSettings

PLAN = "build.json"
_LOCK = "build.lock"
Progress = Callable[[int, int], None]


__all__ = ["BuildError", "BuildReport", "build"]


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
    scheduler: str = "",
    recordings_per_shard: int = 32,
    max_shard_bytes: int = 256 << 20,
    clocks: str = DEFAULT_CLOCKS,
    on_bad: str = "exclude",
    overwrite: bool = False,
    key: str | Path = "",
    progress: Progress | None = None,
    waits: Callable[[], object] = lambda: None,
) -> BuildReport:
    """Build a directory of shards, finish an interrupted build, or confirm a finished one.

    Args:
        source_name: name of a source in ``datamodules/sources``.
        params: settings of the source.
        directory: folder of the shards; it may hold an unfinished build with the same settings.
        settings: settings of the windows.
        placement: placement of the sensor; ``any`` takes a recording's only sensor.
        camera: name of the camera; None or empty builds shards without video.
        subjects: subjects to build; empty takes all.
        workers: number of processes; 0 takes one per core, 1 builds in this process.
        scheduler: ``tcp://host:port`` of a Dask scheduler, whose workers then build; they need the same folders.
        recordings_per_shard: recordings per group; a group becomes one file unless it is too large.
        max_shard_bytes: limit of a file; a larger group is split into several files.
        clocks: ``report``, ``apply`` or ``drop`` the result of comparing the clocks of camera and sensor, see
            ``clock_sync.apply_offset``; ``off`` compares nothing.
        on_bad: ``exclude`` lists a recording that raises a RecordingError in the index; ``raise`` stops the build.
        overwrite: True deletes the shards of an earlier build, whatever its settings.
        key: file of the key of pseudonyms (``datamodules.privacy``), which subjects and recordings then get; empty
            leaves names as they are.
        progress: called with (finished recordings, all recordings).
        waits: called if another process builds there now, before this one waits for it.

    Raises:
        BuildError: a setting is invalid, the directory holds shards with other settings, a worker died, or the
            cluster can't be used.
        RecordingError: a recording is unusable, and ``on_bad`` is ``raise``.
        ChangedSourceError: a file has changed since shards were built from it.
    """
    started = time.monotonic()
    if on_bad not in ("exclude", "raise"):
        raise BuildError(f"on_bad is '{on_bad}'; expected 'exclude' or 'raise'")
    if recordings_per_shard < 1 or max_shard_bytes < 1 or workers < 0:
        raise BuildError(
            f"recordings_per_shard is {recordings_per_shard}, max_shard_bytes {max_shard_bytes} and "
            f"workers {workers}; expected at least 1, 1 and 0"
        )
    try:
        check_settings(settings, "window")
        mode = parse_clocks_mode(clocks) if camera and settings.frames else "off"
    except ValueError as error:
        raise BuildError(str(error)) from error
    if not camera:
        settings = dataclasses.replace(settings, frames=0)

    path = Path(directory)
    inputs = SourceInputs(source_name, dict(params), str(Path(key).absolute()) if key else "")
    source, shown = inputs.open(), inputs.shown()
    if inputs.key:
        pseudonyms = Pseudonyms.of_file(inputs.key)
        subjects = [pseudonyms.of(SUBJECT, name) for name in subjects]
    groups = _groups(source_name, source, shown, subjects, recordings_per_shard)
    # Convert to JSON and back, so that a comparison with the stored description compares the same types.
    described: dict[str, Any] = json.loads(
        canonical(
            {
                "version": layout.VERSION,
                "source": source_name,
                "params": shown,
                "placement": placement,
                "camera": camera or "",
                "subjects": sorted(subjects),
                "window": dataclasses.asdict(settings),
                "recordings_per_shard": recordings_per_shard,
                "max_shard_bytes": max_shard_bytes,
                **({"clocks": mode} if mode != "off" else {}),
                **({"pseudonyms": key_id} if (key_id := inputs.key_id()) else {}),
                **({"manifest": fingerprint} if (fingerprint := source.fingerprint()) else {}),
            }
        )
    )
    path = path.absolute()
    plan = BuildPlan(BuildJob(path, described, settings, on_bad == "raise", uuid.uuid4().hex, inputs), groups)
    path.mkdir(parents=True, exist_ok=True)
    with _locked(path / _LOCK, waits):
        _prepare(path, described, overwrite)
        origins.refuse_changed(path, source)
        index = _read_finished_index(path, plan)
        todo: list[int] = []
        stages, scheduler_name = StageTimes(), ""
        if index is None:
            todo = [g for g in range(len(groups)) if plan.shard(g).find_complete() is None]
            if todo:
                scheduler_name = _build_groups(plan, todo, scheduler, workers, stages, progress)
            index = write_index(plan)
            origins.collect(path)
            shutil.rmtree(path / PIECES, ignore_errors=True)
        recordings = sum(map(len, groups))
        seconds = time.monotonic() - started
        report = BuildReport(
            directory=Path(directory),
            index=index,
            recordings=recordings,
            reused=len(groups) - len(todo),
            built=len(todo),
            seconds=seconds,
            scheduler=scheduler_name,
            stages=stages.seconds,
        )
        if todo:
            append_history(report)
    return report


def _groups(
    source_name: str, source: Source, params: Mapping[str, Any], subjects: Sequence[str], size: int
) -> tuple[tuple[str, ...], ...]:
    names = source.names()
    if len(set(names)) != len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise BuildError(f"source {source_name}: two recordings are named '{twice}'")
    if subjects:
        owners = {name: source.subject_of(name) for name in names}
        # A source may not know a recording's subject before loading it; the worker drops unwanted recordings then.
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
def _locked(path: Path, waits: Callable[[], object]) -> Iterator[None]:
    """Let one build at a time use a directory; the kernel releases the lock of a killed build.

    In a directory that is read-only, no two can write at once: there is no lock then, and finished shards are found.
    """
    try:
        file = path.open("w")
    except OSError as error:
        if not is_read_only(error):
            raise
        yield
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if imports_main():  # the build that it would wait for waits for it
                raise BuildError(
                    f"{path.parent}: build was called by a script that its own worker processes import: put the call"
                    ' under if __name__ == "__main__":, or build with workers=1'
                ) from error
            waits()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _prepare(path: Path, described: dict[str, Any], overwrite: bool) -> None:
    """Check that the files in the directory belong to this build; with ``overwrite``, delete them first."""
    _remove_temporary(path)
    if overwrite:
        for file in [
            path / layout.INDEX,
            path / PLAN,
            path / HISTORY,
            path / origins.SOURCES,
            *path.glob("windows-*.h5"),
        ]:
            file.unlink(missing_ok=True)
        for folder in (PIECES, origins.NOTES):
            shutil.rmtree(path / folder, ignore_errors=True)
    if (path / PLAN).exists():
        try:
            found = read_json(path / PLAN)
        except json.JSONDecodeError as error:
            raise BuildError(f"{path / PLAN}: not JSON: {error}; build with overwrite") from error
        differences = list(_describe_differences(found, described))
        if differences:
            raise BuildError(
                f"{path} holds shards that were built with other settings: {'; '.join(differences)}. "
                "Choose another directory, delete this one, or build with overwrite"
            )
        return
    foreign = sorted(p.name for p in path.glob("windows-*.h5"))
    if foreign:
        raise BuildError(f"{path} holds {foreign[0]} but no {PLAN}; choose another directory")
    write_json(path / PLAN, described)


def _describe_differences(found: Any, expected: Any, name: str = "") -> Iterator[str]:
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in sorted(set(found) | set(expected)):
            yield from _describe_differences(found.get(key), expected.get(key), f"{name}.{key}" if name else key)
    elif found != expected:
        yield f"{name} was {found!r} and is {expected!r}"


def _read_finished_index(path: Path, plan: BuildPlan) -> Index | None:
    """Return the index if this build is finished already, None otherwise."""
    if not (path / layout.INDEX).exists():
        return None
    index = read_index(path)
    whole = all((path / e.file).is_file() and (path / e.file).stat().st_size == e.bytes for e in index.shards)
    return index if whole and index.build_hash == plan.index_hash else None


def _build_groups(
    plan: BuildPlan, todo: list[int], address: str, workers: int, stages: StageTimes, progress: Progress | None
) -> str:
    """Build these groups; return the name of the scheduler."""
    total = sum(map(len, plan.groups))
    waiting = {group: plan.recording_tasks(group) for group in todo}
    left = {group: len(tasks) for group, tasks in waiting.items()}
    group_of = {task.name: group for group, tasks in waiting.items() for task in tasks}
    tasks: list[Task] = []
    for group, recordings in waiting.items():
        tasks += recordings or [plan.pack_task(group)]
    done = total - len(group_of)

    def finished(task: Task, seconds: dict[str, float]) -> list[Task]:
        nonlocal done
        stages.add(seconds)
        if not isinstance(task, RecordingTask):
            return []
        done += 1
        if progress:
            progress(done, total)
        group = group_of[task.name]
        left[group] -= 1
        # A group of one recording needs no packing: its task wrote the shard itself.
        return [plan.pack_task(group)] if not left[group] and len(plan.groups[group]) > 1 else []

    if progress:
        progress(done, total)
    with choose_scheduler(address, plan.job, workers, len(tasks)) as scheduler:
        scheduler.run(tasks, finished)
        _remove_temporary(plan.job.directory)  # left by dead workers whose tasks others repeated
        return scheduler.name


def _remove_temporary(path: Path) -> None:
    """Delete the temporary files of killed processes."""
    for leftover in path.glob(f"{TEMPORARY}*"):
        leftover.unlink(missing_ok=True)
