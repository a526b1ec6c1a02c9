"""Facts about recordings: closed forms, bounded size, and that they come back from the shards."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from helpers.made_faults import SETTINGS, made_recording, register

from datamodules.build.run import build
from datamodules.recording import ImuStream, Interval, Recording
from datamodules.shards import layout
from datamodules.shards.index import read_index
from datamodules.shards.shard_file import open_shard
from datamodules.windows.quality.facts import MOST_STRETCHES, NORM_BINS, RecordingFacts, collect_facts


def of(recording: Recording, camera: str | None = None) -> RecordingFacts:
    return collect_facts(recording, recording.imus[0], camera, SETTINGS)


def test_a_recording_in_figures() -> None:
    facts = of(made_recording("p1_fine", "p1", "fine"), "room")
    assert (facts.begin_s, facts.end_s, facts.samples) == (0.0, 60.0, 3000)
    assert facts.rate_hz == facts.rate_low_hz == facts.rate_high_hz == pytest.approx(50.0)
    assert facts.norm == pytest.approx(9.81, abs=0.05)  # 3000 samples of 0.3 m/s^2 noise
    assert sum(facts.norm_counts) == 3000
    assert np.argmax(facts.norm_counts) in (19, 20)  # 1 g is the edge of two bins
    assert (facts.video_begin_s, facts.video_end_s, facts.frame_rate_hz) == (0.0, 60.0, 10.0)
    assert facts.labels == [[0.0, 30.0, "walk"], [30.0, 48.0, "sit <i>"]]
    assert facts.labelled_s == {"walk": 30.0, "sit <i>": 18.0}
    assert (facts.gaps, facts.gap_count, facts.frame_holes, facts.repeated) == ([], 0, [], 0)
    assert facts.clock == {"clock_confidence": 0.99, "clock_offset_s": 0.01}


def test_gaps_holes_and_lost_samples_on_the_videos_clock() -> None:
    gap = of(dataclasses.replace(made_recording("p1_gap", "p1", "gap"), imu_clock_offset_s=2.0))
    assert gap.gaps == [[13.98, 15.52]]
    assert (gap.gap_count, gap.gap_s) == (1, 1.54)
    assert gap.begin_s == 2.0
    assert of(made_recording("p1_nan", "p1", "nan")).gaps == []  # 80 ms are no gap yet
    (hole,) = of(made_recording("p1_holes", "p1", "holes"), "room").frame_holes
    assert hole == pytest.approx([20.9, 23.1], abs=0.11)  # frames at multiples of 0.1, which are not exact
    assert of(made_recording("p1_repeated", "p1", "repeated")).repeated == 100
    assert of(made_recording("p1_holes", "p1", "holes")).camera == ""


def test_there_is_no_end_of_gaps_and_labels_but_of_what_is_kept() -> None:
    times = np.cumsum(np.tile([0.02] * 5 + [0.5, 0.02, 0.6], 400))
    values = np.tile([0, 0, 9.81, np.nan, np.nan, np.nan], (times.size, 1))
    labels = tuple(Interval(i * 0.5, i * 0.5 + (0.5 if i % 2 else 0.4), f"a{i % 2}") for i in range(1000))
    facts = of(Recording("r", "s", (ImuStream(times, values, "wrist"),), activities=labels))
    assert facts.gap_count == 800
    assert facts.gap_s == pytest.approx(440.0, abs=0.01)
    assert len(facts.gaps) == len(facts.labels) == MOST_STRETCHES
    assert all(b - a > 0.55 for a, b in facts.gaps)  # the longest ones
    assert facts.gaps == sorted(facts.gaps)
    assert facts.labelled_s["a1"] == pytest.approx(250.0, abs=0.01)
    assert len(json.dumps(dataclasses.asdict(facts))) < 40_000


def test_without_a_sample_there_is_no_norm_and_large_ones_are_in_the_last_bin() -> None:
    times = np.arange(100) / 50
    for value, norm, last in ((np.nan, None, 0), (1000.0, 1000.0, 100)):
        values = np.zeros((100, 6))
        values[:, 0] = value
        facts = of(Recording("r", "s", (ImuStream(times, values, "wrist"),)))
        assert facts.norm == norm
        assert facts.norm_counts[NORM_BINS - 1] == last


def test_neighbouring_labels_of_one_activity_are_one() -> None:
    labels = (Interval(2, 3, "b"), Interval(0, 1, "a"), Interval(1, 2, "a"), Interval(3.5, 4, "b"))
    recording = dataclasses.replace(made_recording("p1_fine", "p1", "fine"), activities=labels)
    assert of(recording).labels == [[0, 2, "a"], [2, 3, "b"], [3.5, 4, "b"]]


def test_they_come_back_from_the_shards_whatever_happened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = register(monkeypatch)

    def run(directory: Path) -> None:
        build(name, {}, directory, SETTINGS, camera="room", workers=1, clocks="off", recordings_per_shard=2)

    run(tmp_path / "one")
    index = read_index(tmp_path / "one")
    found = [f for entry in index.shards for f in open_shard(tmp_path / "one" / entry.file).facts()]
    expected = [
        of(made_recording(f.recording, f.subject, f.recording.partition("_")[2]), "room") for f in found
    ]  # fmt: skip
    assert found == expected
    assert len(found) == 10  # all but the unusable one
    # A build that lost a shard makes it again, with the same facts.
    (tmp_path / "one" / index.shards[1].file).unlink()
    run(tmp_path / "one")
    again = [f for entry in index.shards for f in open_shard(tmp_path / "one" / entry.file).facts()]
    assert again == found
    reasons = {row["recording"]: row["reason"] for row in read_index(tmp_path / "one").exclusions}
    assert reasons == {
        "p2_gap": "gap", "p3_nan": "nan", "p4_flat": "flat_line", "p1_repeated": "repeated",
        "p2_holes": "missing_frames", "p3_black": "black_video", "p4_frozen": "frozen_video", "p3_unusable": "unusable",
    }  # fmt: skip


def test_shards_without_facts_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(register(monkeypatch), {}, tmp_path, SETTINGS, camera="room", workers=1, clocks="off")
    index = tmp_path / layout.INDEX
    index.write_text(index.read_text().replace(f'"version": {layout.VERSION},', '"version": 2,'))
    with pytest.raises(layout.ShardError, match="version 2; this code reads version"):
        read_index(tmp_path)
