"""Builds on a Dask cluster of two worker processes: the same files as in one process, whoever dies on the way."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.made_data import make_utd_trial

from core.digest import digest_of
from core.durable import TEMPORARY
from datamodules.build import dask_client, dask_scheduler
from datamodules.build.dask_scheduler import Handshake, run_checked, software
from datamodules.build.encode import BuildJob
from datamodules.build.plan import BuildPlan
from datamodules.build.run import BuildError, BuildReport, build
from datamodules.privacy.source import SourceInputs
from datamodules.shards import layout
from datamodules.windows.cut import WindowSettings

distributed = pytest.importorskip("distributed")
KilledWorker = distributed.scheduler.KilledWorker

SETTINGS = WindowSettings(duration_s=2.0, stride_s=1.0, frames=4, frame_size=48)
NAMES = [f"a{a}_s{s}_t1" for a in (1, 2) for s in (1, 2, 3, 4)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("utd")
    for seed, name in enumerate(NAMES):
        make_utd_trial(folder, name, seconds=3.0 + seed % 3 / 2, seed=seed)
    return folder


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as cluster:
        yield cluster.scheduler_address


def run(root: Path, directory: Path, **options: Any) -> BuildReport:
    # Shards of three, three and two recordings.
    return build(
        "utd_mhad", {"root": str(root)}, directory, SETTINGS, camera="depth", recordings_per_shard=3, **options
    )


def contents(directory: Path) -> dict[str, bytes]:
    """All files but those that say when and how they were made."""
    files = [path for path in directory.iterdir() if path.name not in ("build.lock", "build-runs.json")]
    return {path.name: path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def expected(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    directory = tmp_path_factory.mktemp("expected")
    run(root, directory, workers=1)
    return contents(directory)


@pytest.mark.slow
def test_a_build_that_was_stopped_goes_on_and_ends_with_the_same_files(
    root: Path, address: str, expected: dict[str, bytes], tmp_path: Path
) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(root, tmp_path, scheduler=address, progress=stop)
    assert not (tmp_path / layout.INDEX).exists()
    steps: list[tuple[int, int]] = []
    report = run(root, tmp_path, scheduler=address, progress=lambda done, total: steps.append((done, total)))
    assert contents(tmp_path) == expected
    assert report.scheduler == "2 Dask workers"
    assert steps[0][0] >= 2  # what was finished is not done again
    assert steps[-1] == (len(NAMES), len(NAMES))


@pytest.mark.slow
def test_the_recording_of_a_worker_that_was_killed_is_done_by_another_one(
    root: Path, address: str, expected: dict[str, bytes], tmp_path: Path
) -> None:
    killed: list[str] = []
    over = threading.Event()

    def kill() -> None:
        """Kill -9 whoever is in the middle of a recording, the first one that is met."""
        while not over.wait(0.005):
            for note in tmp_path.glob(f"{TEMPORARY}reading-*"):
                worker = int(note.name.rpartition("-")[2])
                os.kill(worker, signal.SIGSTOP)
                time.sleep(0.05)
                if note.exists() and (name := note.read_text()):
                    killed.append(name)
                    os.kill(worker, signal.SIGKILL)
                    return
                os.kill(worker, signal.SIGCONT)

    # Beside the build, not in one of its callbacks: on a busy machine all recordings may be done before the first one.
    watching = threading.Thread(target=kill)
    watching.start()
    try:
        run(root, tmp_path, scheduler=address)
    finally:
        over.set()
        watching.join()
    assert killed
    assert killed[0] in NAMES
    assert contents(tmp_path) == expected


@pytest.fixture
def handshake(root: Path, tmp_path: Path) -> Handshake:
    """What a worker on this machine can confirm."""
    inputs = SourceInputs("utd_mhad", {"root": str(root)})
    job = BuildJob(tmp_path, {"source": "utd_mhad", "params": dict(inputs.params)}, SETTINGS, False, "t", inputs)
    marker = tmp_path / "marker"
    marker.touch()
    names = [f"a{a}_s{s}_t1" for a in (1, 2) for s in (1, 2, 3, 4)]
    return Handshake(job, marker, software(), digest_of(names), names[0])


def test_a_worker_that_is_like_the_client_passes(handshake: Handshake) -> None:
    handshake.check()


def test_a_worker_with_another_version_is_refused(handshake: Handshake) -> None:
    other = dataclasses.replace(handshake, software={**software(), "numpy": "1.0", "imu-video-har": "0 (code x)"})
    with pytest.raises(BuildError, match=r"imu-video-har .*\(here 0 \(code x\)\), numpy .*\(here 1\.0\)"):
        other.check()


def test_a_worker_that_does_not_see_the_folder_is_refused(
    handshake: Handshake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_scheduler, "_MARKER_S", 0.1)
    handshake.marker.unlink()
    with pytest.raises(BuildError, match=f"does not see the folder of the shards, {handshake.job.directory}"):
        handshake.check()


def test_a_worker_that_finds_other_recordings_is_refused(handshake: Handshake, tmp_path: Path) -> None:
    other = dataclasses.replace(handshake, listing="another", example="a9_s9_t9")
    with pytest.raises(
        BuildError, match=r"finds 8 recordings, but not those of the build's process, e\.g\. 'a9_s9_t9'"
    ):
        other.check()
    missing = SourceInputs("utd_mhad", {"root": str(tmp_path / "nowhere")})
    gone = dataclasses.replace(handshake, job=dataclasses.replace(handshake.job, inputs=missing))
    with pytest.raises(BuildError, match=r"nowhere.*relative paths start at"):
        gone.check()


def test_a_worker_that_joins_late_is_asked_before_its_first_task(handshake: Handshake) -> None:
    late = dataclasses.replace(handshake, listing="another", job=dataclasses.replace(handshake.job, token="late"))
    (task,) = BuildPlan(late.job, (("a1_s1_t1",),)).recording_tasks(0)
    with pytest.raises(BuildError, match=rf"Dask worker on .* \(process {os.getpid()}\): it finds 8 recordings"):
        run_checked(late, task)
    assert not task.files.path(0).exists()


class Executor:
    """Every task ends like this."""

    def __init__(self, ending: BaseException | None) -> None:
        self.ending = ending

    def submit(self, function: object, *arguments: object, key: str) -> Future[dict[str, float]]:
        future: Future[dict[str, float]] = Future()
        if self.ending is None:
            future.cancel()
            future.set_running_or_notify_cancel()
        else:
            future.set_exception(type(self.ending)(key, *self.ending.args[1:]))
        return future


@pytest.mark.parametrize(
    ("ending", "message"),
    [
        (KilledWorker("", "tcp://w", 3), "workers died again and again .* at recording a1_s1_t1. Finished recordings"),
        (None, "the Dask scheduler at tcp://s:1 is gone. Finished recordings are kept"),
    ],
)
def test_a_task_that_kills_its_workers_and_a_scheduler_that_is_gone_are_named(
    handshake: Handshake, ending: BaseException | None, message: str
) -> None:
    cluster = object.__new__(dask_scheduler.Cluster)
    cluster._distributed, cluster._job, cluster._address = distributed, handshake.job, "tcp://s:1"
    cluster._handshake = handshake
    cluster._client = SimpleNamespace(get_executor=lambda pure: Executor(ending))
    tasks = BuildPlan(handshake.job, (("a1_s1_t1",),)).recording_tasks(0)
    with pytest.raises(BuildError, match=message):
        cluster.run(tasks, lambda task, seconds: [])


def test_a_scheduler_without_this_package_is_named(handshake: Handshake) -> None:
    cluster = object.__new__(dask_scheduler.Cluster)
    cluster._distributed, cluster._address, cluster._handshake = distributed, "tcp://s:1", handshake
    # In the words of distributed's scheduler.
    said: Future[str] = Future()
    said.set_exception(RuntimeError("Error during deserialization of the task graph. This frequently\noccurs if"))
    cluster._client = SimpleNamespace(
        wait_for_workers=lambda *_, timeout: None,
        nthreads=lambda: {"tcp://w:1": 1},
        submit=lambda *_, workers, pure: said,
    )
    with pytest.raises(BuildError, match=r"the Dask scheduler at tcp://s:1 can't load this package; install the same"):
        cluster._check_workers()


def test_without_dask_or_a_scheduler_the_message_says_what_to_do(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_client, "CONNECT_S", 0.5)
    with pytest.raises(BuildError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        run(root, tmp_path, scheduler="tcp://127.0.0.1:9")
    with pytest.raises(BuildError, match="no Dask scheduler answers at nonsense"):
        run(root, tmp_path, scheduler="nonsense")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(BuildError, match=r"Dask is not installed; pip install 'imu-video-har\[dask\]'"):
        run(root, tmp_path, scheduler="tcp://127.0.0.1:9")
