"""Clocks of camera and sensor, as ``check_import`` tells them: on GoPro's clip, and on made-up findings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers.made_clock import made_estimate
from helpers.real_data import gopro_clip

from datamodules.build.run import build
from datamodules.clock_sync.motion_signals import SeenMotion
from datamodules.recording import ImuStream
from datamodules.shards.shard_file import open_shard
from datamodules.sources.action_camera import ActionCamera, ActionCameraParams
from datamodules.sources.manifest import Manifest, ManifestParams
from datamodules.sources.manifest.spec import GroupSpec, ManifestSpec
from datamodules.windows.cut import WindowSettings
from experiments import check_import
from experiments.reports.manifest import clock_facts
from experiments.reports.manifest.clock_facts import ClockFacts, measure_clocks, spread
from experiments.reports.manifest.clock_remarks import describe_clocks, judge_clocks

MANIFEST = """
groups:
  walk:
    imu:
      - files: "{subject}.csv"
        time: {column: t, unit: s}
        sensors:
          head:
            acceleration: {columns: [ax, ay, az], unit: m/s^2}
            gyroscope: {columns: [gx, gy, gz], unit: rad/s}
    imu_clock_offset_s: 0.0
    videos: [{files: "{subject}.mp4", camera: gopro}]
"""


def write_clip(folder: Path, people: dict[str, float], stated: float = 0.0) -> Path:
    """GoPro's clip for each person, with the motion data in a table whose stamps are moved by so much."""
    clip = gopro_clip()
    stream = ActionCamera(ActionCameraParams([str(clip)])).load(clip.stem).imus[0]
    for person, moved in people.items():
        table = np.column_stack([stream.times + moved, stream.values])
        np.savetxt(folder / f"{person}.csv", table, "%.6f", ",", header="t,ax,ay,az,gx,gy,gz", comments="")
        (folder / f"{person}.mp4").symlink_to(clip)
    (folder / "study.yaml").write_text(MANIFEST.replace("offset_s: 0.0", f"offset_s: {stated}"))
    return folder / "study.yaml"


def check(path: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    code = check_import.main([str(path), *more])
    return code, capsys.readouterr().out


@pytest.mark.parametrize("moved", [-1.5, -0.3, 0.7])
def test_a_camera_that_is_off_is_a_problem_with_the_value_to_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], moved: float
) -> None:
    code, text = check(write_clip(tmp_path, {"P1": moved}, stated=0.05), capsys)
    assert code == 1
    (problem,) = (line for line in text.splitlines() if line.startswith("PROBLEM"))
    assert "the sensor at head and camera 'gopro' are" in problem
    value = float(problem.rpartition("set imu_clock_offset_s: ")[2])
    # The clip's own clocks are within 20 ms; sensor stamps + offset = video stamps.
    assert value == pytest.approx(-moved, abs=0.03)
    code, text = check(write_clip_again(tmp_path, value), capsys)
    assert code == 0, text
    assert "All plausible." in text


def write_clip_again(folder: Path, stated: float) -> Path:
    path = folder / "again.yaml"
    path.write_text(MANIFEST.replace("offset_s: 0.0", f"offset_s: {stated}"))
    return path


def test_clocks_that_agree_pass_and_off_looks_at_no_frame(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_clip(tmp_path, {"P1": 0.0})
    code, text = check(path, capsys)
    assert code == 0, text
    assert "P1: 'head' and 'gopro': -0.01 s, " in text

    def never(*_: object) -> None:
        raise AssertionError("nobody asked for clocks")

    monkeypatch.setattr(clock_facts, "measure_chosen", never)
    code, text = check(path, capsys, "--clocks", "off")
    assert code == 0
    assert "clocks of sensors" not in text


def test_the_build_says_the_same(tmp_path: Path) -> None:
    path = write_clip(tmp_path, {"P1": 0.7})
    (told,) = measure_clocks(Manifest(ManifestParams(str(path))))
    settings = WindowSettings(duration_s=4.0, stride_s=4.0, frames=2, frame_size=32)
    # What to do with clocks is not named: the default of Python is that of the commands.
    report = build("manifest", {"path": str(path)}, tmp_path / "shards", settings, camera="gopro", workers=1)
    clock = open_shard(next((tmp_path / "shards").glob("windows-*.h5"))).facts()[0].clock
    assert told.estimate is not None
    assert report.index.build["clocks"] == "report"
    assert report.index.counts["clocks"] == {told.verdict: 1}
    assert clock["clock_certainty"] == told.estimate.certainty != "unknown"
    assert clock["clock_apart_s"] == pytest.approx(told.apart_s, abs=1e-3)  # facts keep milliseconds
    assert clock["clock_confidence"] == pytest.approx(told.estimate.confidence, abs=1e-3)


def test_in_a_large_study_some_recordings_are_compared_unless_all_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Manifest(ManifestParams(str(write_clip(tmp_path, {f"P{k}": 0.0 for k in range(5)}))))
    nothing = SeenMotion(np.empty(0), np.empty((0, 18)), np.empty(0))
    monkeypatch.setattr(clock_facts, "measure_chosen", lambda *_: nothing)
    monkeypatch.setattr(clock_facts, "MOST_VIDEO_S", 25.0)  # the clip has 10.5 s
    steps: list[tuple[int, int]] = []
    found = measure_clocks(source, progress=lambda *step: steps.append(step))
    assert [fact.recording for fact in found] == ["P0", "P4", "P2"]
    assert steps == [(1, 5), (2, 5), (3, 5), (3, 3)]  # at last, what is compared is all that was compared
    assert len(measure_clocks(source, all_recordings=True)) == 5


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_recordings_are_taken_from_all_over_the_study(count: int) -> None:
    names = [str(k) for k in range(count)]
    assert sorted(spread(names)) == names
    if count == 7:
        assert list(spread(names))[:3] == ["0", "6", "3"]


def fact(name: str, offset: float, confidence: float = 1.0, margin: float = 3.0, recordings: int = 1) -> ClockFacts:
    return ClockFacts(name, "g", "head", "c", made_estimate(offset, confidence, margin=margin), offset, recordings)


def remarks(*facts: ClockFacts, stated: str | float = 0.0) -> list[str]:
    manifest = ManifestSpec(groups={"g": GroupSpec(imu=[], imu_clock_offset_s=stated)})
    found = judge_clocks(manifest, facts)
    assert all(remark.problem for remark in found)
    return [remark.text for remark in found]


def test_what_is_likely_is_said_to_be_and_what_can_not_be_told_is_no_problem() -> None:
    (text,) = remarks(fact("a", 0.7, confidence=0.9))
    assert "are likely more than 0.1 s apart in 1 of 1 compared recordings (a +0.70 s)" in text
    (text,) = remarks(fact("a", 0.7), fact("b", 0.02), fact("c", 0.9, margin=1.0))
    assert "are more than 0.1 s apart in 1 of 3 compared recordings" in text
    assert remarks(fact("a", 0.7, margin=1.0), fact("b", 0.7, confidence=0.5), fact("c", 0.05)) == []


def test_what_to_set_depends_on_what_is_stated() -> None:
    assert remarks(fact("a", 0.7), fact("b", 0.72), stated=-0.2)[0].endswith("set imu_clock_offset_s: 0.51")
    assert "add +0.70 to the values of imu_clock_offset_s ('{late}')" in remarks(fact("a", 0.7), stated="{late}")[0]
    assert "the offsets differ" in remarks(fact("a", 0.7), fact("b", -0.7))[0]


def test_recordings_compared_as_one_speak_where_none_does_alone() -> None:
    alone = fact("a", 1.1, confidence=0.1)
    together = fact("", 0.3, recordings=12)
    (text,) = remarks(alone, together)
    assert "in 12 recordings compared as one (+0.30 s)" in text
    assert "set imu_clock_offset_s: 0.30" in text
    lines = list(describe_clocks([alone, together, ClockFacts("b", "g", "head", "c", note="too short")]))
    assert "a: 'head' and 'c': can't tell (confidence 0.10)" in lines[1]
    assert "12 recordings of 'g' as one: 'head' and 'c': +0.30 s, certain" in lines[2]
    assert lines[3].endswith("not compared: too short")


def test_short_trials_are_pooled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Manifest(ManifestParams(str(write_clip(tmp_path, {"P1": 0.0, "P2": 0.0}))))
    monkeypatch.setattr(clock_facts, "too_short", lambda *_: "sensor and video share 2.0 s")
    pooled: list[int] = []

    def together(pairs: list[tuple[SeenMotion, ImuStream]], *_: object) -> object:
        pooled.append(len(pairs))
        return made_estimate(0.4)

    monkeypatch.setattr("datamodules.clock_sync.pooling.compare_pooled", together)
    found: Iterator[ClockFacts] = iter(measure_clocks(source))
    assert [next(found).note for _ in range(2)] == ["sensor and video share 2.0 s"] * 2
    last = next(found)
    assert (last.recordings, last.apart_s, last.verdict) == (2, 0.4, "disagree")
    assert pooled == [2]
