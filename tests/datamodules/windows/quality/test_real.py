"""The rules on real recordings: pictures that are mostly black, and a person who hardly moves, are no faults."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.real_data import gopro_clip, real_data

from datamodules.build.run import build
from datamodules.shards.index import read_index
from datamodules.shards.shard_file import open_shard
from datamodules.windows.cut import Reason, WindowSettings
from datamodules.windows.quality.pictures import block_means

VIDEO_FAULTS = {Reason.MISSING_FRAMES, Reason.BLACK_VIDEO, Reason.FROZEN_VIDEO, Reason.REPEATED}


def margins(directory: Path) -> tuple[float, float]:
    """The darkest window's brightest block, and the smallest change of the picture between two frames, in levels."""
    index = read_index(directory)
    frames = index.settings.frames
    brightest, least = [], []
    for entry in index.shards:
        shard = open_shard(directory / entry.file)
        stored, ends = shard.array("frames"), shard.array("frame_offsets").tolist()
        for n in range(shard.n_windows):
            parts = zip(ends[n * frames : (n + 1) * frames], ends[n * frames + 1 : (n + 1) * frames + 1], strict=True)
            blocks = np.stack([block_means(stored[a:b].tobytes(), index.settings) for a, b in parts if b > a])
            brightest.append(float(blocks.max()))
            least.append(float(np.abs(np.diff(blocks, axis=0)).max(axis=1).max()))
    return min(brightest), min(least)


def test_depth_video_is_mostly_black_and_yet_no_fault(tmp_path: Path) -> None:
    real = real_data("utd-mhad")
    links = tmp_path / "utd"
    for kind, suffix in (("inertial", "_inertial.mat"), ("depth_mp4", ".mp4")):
        (links / kind).mkdir(parents=True)
        # Actions in which one arm moves, and the least.
        for action in (1, 9, 20, 27):
            name = f"a{action}_s1_t1{suffix}"
            (links / kind / name).symlink_to(real / kind / name)
    settings = WindowSettings(layout="centred", frames=18, frame_size=96)
    report = build("utd_mhad", {"root": str(links)}, tmp_path / "shards", settings, camera="depth", workers=1)
    assert report.index.n_windows == 4
    assert report.index.exclusions == ()
    assert report.index.counts["fault"] == {}
    brightest, change = margins(tmp_path / "shards")
    # Over all trials of three people the least was 124 and 2: far from the thresholds of 16 and 0.5.
    assert brightest > 5 * settings.black_level
    assert change > 4 * settings.frozen_level


@pytest.mark.parametrize("frame_size", [32, 112])
def test_a_camera_on_a_walk_shows_no_fault(tmp_path: Path, frame_size: int) -> None:
    clip = gopro_clip()
    settings = WindowSettings(duration_s=2.0, stride_s=1.0, frames=6, frame_size=frame_size)
    report = build("action_camera", {"paths": [str(clip)]}, tmp_path, settings, camera="action_camera", workers=1)
    assert report.index.n_windows >= 8
    assert not {row["reason"] for row in report.index.exclusions} & {fault.value for fault in VIDEO_FAULTS}


def test_stamps_of_patients_sensors_do_not_repeat(tmp_path: Path) -> None:
    root = real_data("daphnet") / "trimmed_csv"
    settings = WindowSettings(frames=0)
    report = build("daphnet", {"root": str(root)}, tmp_path, settings, "ankle", subjects=["S06"], workers=1)
    assert report.index.n_windows > 50
    assert Reason.REPEATED.value not in {row["reason"] for row in report.index.exclusions}
