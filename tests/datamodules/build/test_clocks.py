"""Whole builds with ``clocks``: what is written down, shifted and left out."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.made_clock import made_estimate
from helpers.real_data import gopro_clip

from datamodules.build.report import BuildReport
from datamodules.build.run import BuildError, build
from datamodules.clock_sync import CERTAIN, apply_offset
from datamodules.shards.reader import ShardSet
from datamodules.shards.shard_file import open_shard
from datamodules.sources.simulator import Simulator, SimulatorParams
from datamodules.windows.cut import WindowSettings

SETTINGS = WindowSettings(duration_s=4.0, stride_s=4.0, frames=2, frame_size=32)
PARAMS = SimulatorParams(
    subjects=1,
    sessions_per_subject=1,
    session_s=20.0,
    placements=["head"],
    cameras=["head"],
    max_clock_offset_s=2.0,
)


def build_simulated(folder: Path, clocks: str) -> BuildReport:
    return build("simulator", dataclasses.asdict(PARAMS), folder, SETTINGS, "head", "head", workers=1, clocks=clocks)


def facts(folder: Path) -> Any:
    return open_shard(next(folder.glob("windows-*.h5"))).facts()[0]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BuildReport]:
    folder = tmp_path_factory.mktemp("plain")
    return folder, build_simulated(folder, "off")


@pytest.mark.slow
def test_apply_brings_the_windows_onto_the_videos_clock(plain: tuple[Path, BuildReport], tmp_path: Path) -> None:
    simulator = Simulator(PARAMS)
    truth = simulator.true_clock_offset(simulator.names()[0])
    assert abs(truth) > 0.2  # or the test shows nothing
    report = build_simulated(tmp_path, "apply")
    before, after = facts(plain[0]), facts(tmp_path)
    # 20 ms is what is promised of a minute; the figures of 20 s are within that here.
    assert after.begin_s - before.begin_s == pytest.approx(truth, abs=0.02)
    assert after.clock["clock_offset_s"] == pytest.approx(truth, abs=0.02)
    assert after.clock["clock_confidence"] >= CERTAIN
    assert after.clock["clock_applied"] is True
    assert report.index.counts["clocks"] == {"disagreed, shifted": 1}
    assert "clocks of camera and sensor: disagreed, shifted 1" in str(report)
    assert report.index.build["clocks"] == "apply"


def test_drop_lists_what_it_left_out_and_keeps_what_it_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply_offset, "estimate_clock", lambda *_: made_estimate(0.5))
    report = build_simulated(tmp_path, "drop")
    assert report.index.n_windows == 0
    assert [row["reason"] for row in report.index.exclusions] == ["clocks"]
    assert "ms apart (confidence" in report.index.exclusions[0]["detail"]
    assert facts(tmp_path).clock["clock_applied"] is False
    assert report.index.counts["clocks"] == {"disagree": 1}


def test_off_says_nothing(plain: tuple[Path, BuildReport]) -> None:
    folder, report = plain
    assert facts(folder).clock == {}
    assert report.index.counts["clocks"] == {}
    assert "clocks" not in report.index.build


def test_other_ways_with_clocks_are_other_settings(plain: tuple[Path, BuildReport]) -> None:
    with pytest.raises(BuildError, match="clocks was None and is 'drop'"):
        build_simulated(plain[0], "drop")
    with pytest.raises(BuildError, match=r"build\.clocks is 'maybe'"):
        build_simulated(plain[0], "maybe")


def test_reporting_on_the_gopro_clip_changes_nothing_else(tmp_path: Path) -> None:
    params = {"paths": [str(gopro_clip())]}

    def windows(clocks: str) -> tuple[BuildReport, Any, ShardSet]:
        folder = tmp_path / clocks
        report = build("action_camera", params, folder, SETTINGS, camera="action_camera", workers=1, clocks=clocks)
        return report, facts(folder), ShardSet.open(folder)

    report, known, shards = windows("report")
    _, _, plain = windows("off")
    assert known.clock["clock_offset_s"] == pytest.approx(0.0, abs=0.05)
    assert known.clock["clock_applied"] is False
    # Ten seconds are little: a confidence of 0.96.
    assert report.index.counts["clocks"] in ({"agree": 1}, {"can't tell": 1})
    np.testing.assert_array_equal(shards.table["start_s"], plain.table["start_s"])
    everything = np.arange(plain.n_windows)
    for one, other in zip(shards.imu(everything), plain.imu(everything), strict=True):
        np.testing.assert_array_equal(one, other)
