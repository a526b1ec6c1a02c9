"""Builds on disks that are full or read-only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.made_data import make_utd_trial
from helpers.small_disk import fill, read_only, small_disk

from core.durable import TEMPORARY
from core.room import NoSpaceError
from datamodules.build.report import BuildReport
from datamodules.build.run import build
from datamodules.shards.reader import ShardSet
from datamodules.shards.verify import verify
from datamodules.windows.cut import WindowSettings

SETTINGS = WindowSettings(duration_s=2.0, stride_s=1.0, frames=4, frame_size=48)
NAMES = ("a1_s1_t1", "a2_s1_t1")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("utd")
    for seed, name in enumerate(NAMES):
        make_utd_trial(folder, name, seconds=3.0, seed=seed)
    return folder


def run(root: Path, directory: Path, **options: Any) -> BuildReport:
    settings = {"camera": "depth", "workers": 1, "recordings_per_shard": 1, **options}
    return build("utd_mhad", {"root": str(root)}, directory, SETTINGS, "any", **settings)


@pytest.mark.filterwarnings("error")  # of HDF5, which can't close a file on a full disk
def test_a_build_on_a_full_disk_names_the_shard_and_goes_on_when_there_is_room(root: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "2m") as disk:
        filling = fill(disk, leave=150_000)
        with pytest.raises(NoSpaceError, match=r"/shards/.*: no space left: it needs .* MB, and .* are free there"):
            run(root, disk / "shards")
        assert not list((disk / "shards").glob(f"{TEMPORARY}*"))
        assert not (disk / "shards" / "index.json").exists()
        filling.unlink()
        report = run(root, disk / "shards")
        assert report.index.n_windows
        assert not verify(disk / "shards")
        assert not report.index.exclusions  # the lack of room is not held against a recording


def test_finished_shards_on_a_read_only_disk_are_found_and_read_without_a_lock(root: Path, tmp_path: Path) -> None:
    directory = tmp_path / "shards"
    run(root, directory)
    (directory / ".lock").unlink(missing_ok=True)
    before = sorted(path.name for path in directory.iterdir())
    with read_only(tmp_path):
        assert run(root, directory).built == 0
        shards = ShardSet.open(directory)
        assert len(shards.imu(np.zeros(1, np.int64))[0]) == 1
        assert shards.frames(np.zeros(1, np.int64)).any()
        assert not verify(directory)
    assert sorted(path.name for path in directory.iterdir()) == before
