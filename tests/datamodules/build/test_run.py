from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.made_data import make_utd_trial
from helpers.numbered_video import numbered
from helpers.real_data import real_data
from scipy.io import loadmat, savemat

from core.durable import TEMPORARY
from datamodules.build import tasks
from datamodules.build.report import BuildReport
from datamodules.build.run import BuildError, build
from datamodules.build.stages import STAGES
from datamodules.recording import RecordingError
from datamodules.shards import layout
from datamodules.shards.reader import ShardSet
from datamodules.shards.shard_file import open_shard
from datamodules.shards.verify import verify
from datamodules.windows.cut import WindowSettings

SETTINGS = WindowSettings(duration_s=2.0, stride_s=1.0, frames=4, frame_size=48)
NAMES = [f"a{a}_s{s}_t1" for a in (1, 2, 22) for s in (1, 2, 3, 4)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("utd")
    for seed, name in enumerate(NAMES):
        make_utd_trial(folder, name, seconds=3.0 + seed % 3 / 2, seed=seed)
    return folder


def test_the_decoder_is_said_where_it_is_not_decord(tmp_path: Path) -> None:
    for name in NAMES[:2]:
        make_utd_trial(tmp_path / "utd", name, seconds=3.0)
    video = tmp_path / "utd" / "depth_mp4" / f"{NAMES[0]}.mp4"
    hevc = ("-x265-params", "pools=1:frame-threads=1:log-level=none")
    numbered(video, 90, "hevc", options=hevc)
    report = run(tmp_path / "utd", tmp_path / "shards")
    assert "  video not read by decord, but by pyav: HEVC in MP4/MOV, open groups of pictures: 1" in str(report)
    facts = {fact.recording: fact.decoder for fact in open_shard(next((tmp_path / "shards").glob("*.h5"))).facts()}
    assert facts[NAMES[0]].endswith(
        "open groups of pictures (frames after the key frame at 0.40 s are shown before it)"
    )
    assert facts[NAMES[1]] == ""


def run(root: Path, directory: Path, **kwargs: Any) -> BuildReport:
    options = {"camera": "depth", "workers": 1, "recordings_per_shard": 3, **kwargs}
    return build("utd_mhad", {"root": str(root)}, directory, options.pop("settings", SETTINGS), **options)


def contents(directory: Path) -> dict[str, str]:
    """Digests of all files but those that say when and how they were made."""
    files = [path for path in directory.iterdir() if path.name not in ("build.lock", "build-runs.json")]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def built(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BuildReport]:
    directory = tmp_path_factory.mktemp("built")
    return directory, run(root, directory)


def test_a_build_holds_every_window_of_every_recording(built: tuple[Path, BuildReport]) -> None:
    directory, report = built
    shards = ShardSet.open(directory)
    assert verify(directory) == []
    assert report.built == len(report.index.shards) == 4
    # 3, 3.5 and 4 s with windows of 2 s every second
    assert shards.n_windows == 4 * 2 + 4 * 2 + 4 * 3
    assert set(shards.table["recording"]) == set(NAMES)
    assert set(shards.table["placement"]) == {"right_wrist", "right_thigh"}
    assert set(shards.table["device"]) == {"UTD wearable inertial sensor"}
    assert shards.label_tables["subject"] == ["1", "2", "3", "4"]
    assert {row["reason"] for row in report.index.exclusions} == {"remainder"}
    assert not shards.simulated
    text = str(report)
    assert "28 windows of 12 recordings" in text
    assert "left out, remainder: 4" in text
    frames = shards.frames(np.arange(shards.n_windows))
    assert frames.shape == (28, 4, 48, 48, 3)
    assert frames.std() > 20


def test_the_bytes_do_not_depend_on_the_workers(root: Path, built: tuple[Path, BuildReport], tmp_path: Path) -> None:
    steps = []
    report = run(root, tmp_path, workers=2, progress=lambda done, total: steps.append((done, total)))
    assert contents(tmp_path) == contents(built[0])
    assert report.index.fingerprint == built[1].index.fingerprint
    assert steps == [(i, 12) for i in range(13)]


def test_a_finished_build_is_left_alone_and_a_lost_shard_is_made_again(
    root: Path, built: tuple[Path, BuildReport], tmp_path: Path
) -> None:
    run(root, tmp_path)
    before = {p.name: p.stat().st_mtime_ns for p in tmp_path.glob("*.h5")}
    again = run(root, tmp_path)
    assert (again.reused, again.built) == (4, 0)
    assert {p.name: p.stat().st_mtime_ns for p in tmp_path.glob("*.h5")} == before
    lost = tmp_path / layout.shard_name(2, 0)
    lost.unlink()
    broken = tmp_path / layout.shard_name(0, 0)
    broken.write_bytes(broken.read_bytes()[:1000])
    (tmp_path / f"{TEMPORARY}leftover").write_bytes(b"x")
    report = run(root, tmp_path)
    assert (report.reused, report.built) == (2, 2)
    assert contents(tmp_path) == contents(built[0])


def test_where_the_time_went_is_told_and_kept(root: Path, built: tuple[Path, BuildReport], tmp_path: Path) -> None:
    report = run(root, tmp_path, workers=2)
    text = str(report)
    assert "where the time went, summed over 2 processes" in text
    assert "decode: decoding and scaling frames" in text
    (kept,) = json.loads((tmp_path / "build-runs.json").read_text())
    assert kept["stages"].keys() == STAGES.keys()
    # Two processes can't have worked for longer than twice the time that went by.
    assert 0 < sum(kept["stages"].values()) < 2 * kept["seconds"]
    again = run(root, tmp_path)
    assert "where the time went" not in str(again)
    assert len(json.loads((tmp_path / "build-runs.json").read_text())) == 1


@pytest.mark.parametrize("limit", [256 << 20, 20_000])
def test_shards_of_one_recording_hold_what_packed_ones_hold(
    root: Path, built: tuple[Path, BuildReport], tmp_path: Path, limit: int
) -> None:
    run(root, tmp_path, recordings_per_shard=1, max_shard_bytes=limit)
    assert verify(tmp_path) == []
    packed, single = ShardSet.open(built[0]), ShardSet.open(tmp_path)
    everything = np.arange(packed.n_windows)
    np.testing.assert_array_equal(packed.imu(everything)[0], single.imu(everything)[0])
    np.testing.assert_array_equal(packed.frames(everything), single.frames(everything))
    for code in layout.CODES:
        assert list(packed.table[code]) == list(single.table[code])
    assert single.n_windows == 28


def test_a_piece_that_is_damaged_is_found_before_it_gets_into_a_shard(
    root: Path, built: tuple[Path, BuildReport], tmp_path: Path
) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(root, tmp_path, progress=stop)
    (piece, _) = sorted((tmp_path / "pieces").glob("*.h5"))
    shard = open_shard(piece)
    data = bytearray(piece.read_bytes())
    data[shard.places["imu"].offset + 100] ^= 1
    piece.write_bytes(data)
    with pytest.raises(BuildError, match=r"window 0 is damaged.*start the same build again"):
        run(root, tmp_path)
    run(root, tmp_path)
    assert contents(tmp_path) == contents(built[0])


def test_a_shard_that_another_worker_finishes_meanwhile_is_taken_as_it_is(
    root: Path, built: tuple[Path, BuildReport], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one was thought dead; it deletes the pieces when this one has begun to read them."""
    opened = open_shard
    other: list[Path] = []

    def open_late(path: Path) -> Any:
        if not other:
            other.append(path)
            (task,) = packed
            monkeypatch.setattr(tasks, "open_shard", opened)
            task.run()
            assert not path.exists()
        return opened(path)

    packed = []
    run_task = tasks.PackTask.run

    def run_late(task: Any) -> Any:
        if not other:
            packed.append(task)
            monkeypatch.setattr(tasks, "open_shard", open_late)
        return run_task(task)

    monkeypatch.setattr(tasks.PackTask, "run", run_late)
    run(root, tmp_path)
    assert other
    assert contents(tmp_path) == contents(built[0])


def test_recordings_that_finish_while_they_are_listed_are_not_at_work(tmp_path: Path) -> None:
    for number, name in enumerate(("a", "b")):
        (tmp_path / f"{TEMPORARY}reading-{number}").write_text(name)
    (tmp_path / f"{TEMPORARY}reading-2").symlink_to(tmp_path / "gone")
    assert tasks.recordings_in_progress(tmp_path) == ["a", "b"]


def test_other_settings_need_another_directory(root: Path, tmp_path: Path) -> None:
    run(root, tmp_path)
    other = WindowSettings(duration_s=2.0, stride_s=2.0, frames=4, frame_size=48)
    with pytest.raises(BuildError, match=r"window\.stride_s was 1\.0 and is 2\.0"):
        run(root, tmp_path, settings=other)
    report = run(root, tmp_path, settings=other, overwrite=True)
    assert report.index.settings == other
    assert verify(tmp_path) == []


def test_large_groups_are_split(root: Path, built: tuple[Path, BuildReport], tmp_path: Path) -> None:
    report = run(root, tmp_path, max_shard_bytes=20_000)
    assert len(report.index.shards) > 4
    assert verify(tmp_path) == []
    whole, split = ShardSet.open(built[0]), ShardSet.open(tmp_path)
    everything = np.arange(whole.n_windows)
    np.testing.assert_array_equal(whole.imu(everything)[0], split.imu(everything)[0])
    np.testing.assert_array_equal(whole.frames(everything), split.frames(everything))


def test_subjects_are_chosen_by_name(root: Path, tmp_path: Path) -> None:
    report = run(root, tmp_path, subjects=["2", "4"])
    assert report.recordings == 6
    assert set(ShardSet.open(tmp_path).table["subject"]) == {"2", "4"}
    with pytest.raises(BuildError, match="no subject '9'; it has: 1, 2, 3, 4"):
        run(root, tmp_path / "none", subjects=["9"])


def test_without_a_camera_there_are_no_frames(root: Path, built: tuple[Path, BuildReport], tmp_path: Path) -> None:
    run(root, tmp_path, camera=None)
    shards = ShardSet.open(tmp_path)
    assert shards.settings.frames == 0
    assert shards.frames(np.arange(3)).shape == (3, 0, 48, 48, 3)
    assert verify(tmp_path) == []


def spoil(root: Path) -> dict[str, str]:
    """One recording of each kind of damage; returns what its exclusion must name."""
    video, inertial = root / "depth_mp4", root / "inertial"
    cut = video / "a1_s1_t1.mp4"
    cut.write_bytes(cut.read_bytes()[:-2000])
    path = inertial / "a1_s2_t1_inertial.mat"
    values = loadmat(path)["d_iner"]
    values[10, 3] = np.nan
    savemat(path, {"d_iner": values})
    (inertial / "a1_s3_t1_inertial.mat").unlink()
    noise = video / "a1_s4_t1.mp4"
    data = bytearray(noise.read_bytes())
    half = data.index(b"mdat") + 3000
    data[half : half + 4000] = bytes(4000)
    noise.write_bytes(data)
    return {
        "a1_s1_t1": "a1_s1_t1.mp4: ",
        "a1_s2_t1": "a1_s2_t1_inertial.mat: 1 samples with NaN",
        "a1_s3_t1": "a1_s3_t1_inertial.mat: not there",
        "a1_s4_t1": "a1_s4_t1.mp4: ",
    }


def test_bad_recordings_are_listed_with_their_cause_and_nothing_else_is_lost(
    root: Path, built: tuple[Path, BuildReport], tmp_path: Path
) -> None:
    bad = tmp_path / "utd"
    for seed, name in enumerate(NAMES):
        make_utd_trial(bad, name, seconds=3.0 + seed % 3 / 2, seed=seed)
    causes = spoil(bad)
    report = run(bad, tmp_path / "shards", workers=2)
    listed = {row["recording"]: row for row in report.index.exclusions if row["reason"] != "remainder"}
    assert set(listed) == set(causes)
    for name, text in causes.items():
        assert text in listed[name]["detail"]
    assert "a1_s3_t1_inertial.mat: not there" in str(report)
    index = json.loads((tmp_path / "shards" / layout.INDEX).read_text())
    assert index["excluded"]["unusable"] == 3
    # Windows of all others, and of the one with NaN the part behind it.
    good, whole = ShardSet.open(tmp_path / "shards"), ShardSet.open(built[0])
    keep = ~np.isin(whole.table["recording"], list(causes))
    others = ~np.isin(good.table["recording"], list(causes))
    np.testing.assert_array_equal(good.imu(np.flatnonzero(others))[0], whole.imu(np.flatnonzero(keep))[0])
    assert "a1_s2_t1" in good.table["recording"]
    with pytest.raises(RecordingError, match="a1_s1_t1"):
        run(bad, tmp_path / "raise", on_bad="raise")
    with pytest.raises(RecordingError, match=r"a1_s\d_t1"):
        run(bad, tmp_path / "raise2", on_bad="raise", workers=2)


KILLED = """
import sys
from datamodules.build.run import build
from datamodules.windows.cut import WindowSettings

if __name__ == "__main__":
    settings = WindowSettings(duration_s=2.0, stride_s=1.0, frames=4, frame_size=48)
    build("utd_mhad", {"root": sys.argv[1]}, sys.argv[2], settings, camera="depth",
          workers=int(sys.argv[3]), recordings_per_shard=3,
          progress=lambda done, total: print(done, flush=True))
"""


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_killed_build_goes_on_to_the_same_files(
    root: Path, built: tuple[Path, BuildReport], tmp_path: Path, workers: int
) -> None:
    script = tmp_path / "script.py"
    script.write_text(KILLED)
    directory = tmp_path / "shards"
    command = [sys.executable, str(script), str(root), str(directory), str(workers)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == "4":
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    assert not (directory / layout.INDEX).exists()
    assert len(list(directory.glob("windows-*.h5"))) < 4
    time.sleep(0.5)  # orphaned workers end by themselves
    steps = []
    run(root, directory, progress=lambda done, total: steps.append(done))
    assert steps[0] >= 4  # no recording that was finished is read again
    assert contents(directory) == contents(built[0])


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_script_without_a_main_block_is_told_so(root: Path, tmp_path: Path) -> None:
    """Its workers import it, and would wait for the build that waits for them."""
    script = tmp_path / "script.py"
    script.write_text(KILLED.replace('if __name__ == "__main__":', "if True:"))
    command = [sys.executable, str(script), str(root), str(tmp_path / "shards"), "2"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=100)
    assert done.returncode == 1
    assert 'put the call under if __name__ == "__main__":, or build with workers=1' in done.stderr


def test_settings_and_sources_that_do_not_exist_are_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no source 'utd'; did you mean 'utd_mhad'.*valid: .*utd_mhad"):
        build("utd", {}, tmp_path, SETTINGS)
    with pytest.raises(ValueError, match=r"setting of source .* called 'rot'; did you mean 'root'"):
        build("utd_mhad", {"rot": "x"}, tmp_path, SETTINGS)
    with pytest.raises(BuildError, match="median_kernel"):
        run(root, tmp_path, settings=WindowSettings(median_kernel=2))
    with pytest.raises(BuildError, match="on_bad"):
        run(root, tmp_path, on_bad="ignore")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_whole_of_utd_mhad(tmp_path: Path) -> None:
    root = real_data("utd-mhad")
    report = run(root, tmp_path, settings=WindowSettings(layout="centred"), workers=2, recordings_per_shard=64)
    # Ten tennis serves and throws reach the end of the sensor's range.
    assert report.index.n_windows == 851
    assert {row["reason"] for row in report.index.exclusions} == {"saturated"}
    assert verify(tmp_path) == []
