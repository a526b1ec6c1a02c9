"""Memory of a build: of a day at 100 Hz its samples and one shard, of a video the frames of one window."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from helpers.peak_memory import PEAK, needs_peak
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from datamodules.build.encode import with_frames
from datamodules.build.run import build
from datamodules.build.stages import StageTimes
from datamodules.recording import FloatArray, FrameArray, ImuStream, Recording
from datamodules.shards.reader import ShardSet
from datamodules.sources import registry
from datamodules.sources.registry import Source, source
from datamodules.windows.cut import Reason, WindowSettings, cut_windows
from datamodules.windows.quality.sensor import describe_gap

ROWS = 8_640_000
# 8 bytes for the time and each of six axes of every sample.
SAMPLES_MB = ROWS * 7 * 8 / 2**20
MANIFEST = """
groups:
  days:
    imu:
      - files: "{subject}.csv"
        time: {column: t, unit: ms}
        sensors:
          wrist:
            acceleration: {columns: [ax, ay, az], unit: g}
            gyroscope: {columns: [gx, gy, gz], unit: deg/s}
"""
SCRIPT = (
    PEAK
    + """
import sys
from datamodules.build.run import build
from datamodules.sources import registry
from datamodules.windows.cut import WindowSettings
registry.sources()  # a build imports all of them
before = peak()
report = build("manifest", {"path": sys.argv[1]}, sys.argv[2], WindowSettings(), workers=1, max_shard_bytes=32 << 20)
print(report, file=sys.stderr)
print(before, peak())
"""
)


def write_day(path: Path, rows: int) -> None:
    """Many rows quickly: blocks of the same values behind ascending stamps; every hour begins with a gap of 1 s."""
    values = [
        f",{i % 7 * 0.01:.4f},{i % 5 * 0.01:.4f},{1 + i % 3 * 0.01:.4f},{i % 11 * 0.1:.3f},"
        f"{i % 13 * 0.1:.3f},{i % 9 * 0.1:.3f}\n"
        for i in range(1000)
    ]
    with path.open("w") as file:
        file.write("t,ax,ay,az,gx,gy,gz\n")
        for first in range(0, rows, 1000):
            skip = 100 * (first % 360_000 == 0)
            file.write("".join(f"{(first + i) * 10}{values[i]}" for i in range(skip, min(1000, rows - first))))


@pytest.mark.slow
@needs_peak
@pytest.mark.timeout(1800)
def test_a_day_at_100_hz_becomes_shards_in_bounded_memory(tmp_path: Path) -> None:
    write_day(tmp_path / "p1.csv", ROWS)
    (tmp_path / "manifest.yaml").write_text(MANIFEST)
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "manifest.yaml"), str(tmp_path / "shards")],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    before, after = map(float, result.stdout.split())
    print(f"\nthe day's samples: {SAMPLES_MB:.0f} MB; peak {after:.0f} MB, of which {before:.0f} MB are imports")
    index = json.loads((tmp_path / "shards" / "index.json").read_text())
    # It begins at 1 s; each later gap lies in one window.
    assert index["n_windows"] == 86399 // 5 - 23
    assert index["excluded"] == {"gap": 23, "remainder": 1}
    assert len(index["shards"]) > 3
    # The samples, their times on the video's clock, all windows and a shard of 32 MB: 1.5 times the samples by sum.
    assert after - before < 1.8 * SAMPLES_MB


@dataclass
class RateParams:
    """No settings."""


@pytest.mark.parametrize("rate", [20.0, 31.25, 50.0, 104.0, 333.0, 1000.0])
def test_any_rate_becomes_windows_of_the_same_motion(
    rate: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.sources()
    monkeypatch.setattr(registry.SOURCES, "_entries", dict(registry.SOURCES._entries))
    monkeypatch.setattr(registry.SOURCES, "_made_from", dict(registry.SOURCES._made_from))
    phases = np.arange(6)

    def motion(times: FloatArray) -> FloatArray:
        return np.sin(2 * np.pi * times[:, None] + phases) + np.array([0, 0, 9.8, 0, 0, 0])

    @source("rates", RateParams)
    class Rates(Source):
        def __init__(self, params: RateParams) -> None:
            self.params = params

        def names(self) -> list[str]:
            return ["one"]

        def load(self, name: str) -> Recording:
            times = np.arange(0, 31, 1 / rate)
            return Recording(name, "p1", (ImuStream(times, motion(times), "waist", origin="one.csv"),))

    build("rates", {}, tmp_path, WindowSettings(), workers=1)
    shards = ShardSet.open(tmp_path)
    assert shards.n_windows == 6
    imu = shards.imu(np.arange(6))[0]
    for number in range(1, 5):  # the first and the last one reach the ends, where a spline knows one side only
        times = 5.0 * number + np.arange(250) / 50
        # A cubic spline through 20 samples of a period is off by (2 pi / 20)^4 / 384 = 3e-5 at most; the filter's
        # pass band and float32 leave as much.
        np.testing.assert_allclose(imu[number], motion(times), atol=2e-3)


class Video:
    """Frames whose pixels are their number; knows how many were asked for."""

    camera, origin = "head", "made"

    def __init__(self, frames: int) -> None:
        self.frames, self.decoded = frames, 0

    def frame_times(self) -> NDArray[np.float64]:
        return np.arange(self.frames) / 10.0

    def read(self, indices: NDArray[np.int64], height: int, width: int) -> Iterator[FrameArray]:
        for index in indices.tolist():
            self.decoded += 1
            yield np.full((height, width, 3), index % 251, np.uint8)


@pytest.mark.parametrize("stride_s", [1.0, 5.0, 7.0])
def test_frames_are_decoded_when_their_window_is_written_and_once(stride_s: float) -> None:
    cut = WindowSettings(stride_s=stride_s, frame_size=8, jpeg_quality=0, exclude="")
    video = Video(3000)
    values = np.random.default_rng(0).normal((0, 0, 9.8, 0, 0, 0), 1, (15000, 6))
    stream = ImuStream(np.arange(15000) / 50, values, "head")
    windows, _ = cut_windows(Recording("r", "s", (stream,), (video,)), "any", "head", cut)
    needed: set[int] = set()
    for encoded in with_frames(windows, video, cut, StageTimes()):
        indices = encoded.window.frame_indices.tolist()
        needed |= set(indices)
        assert [jpeg[0] for jpeg in encoded.jpegs] == [index % 251 for index in indices]
        assert video.decoded == len(needed)
    assert len(windows) > 40


@settings(max_examples=60, deadline=None)
@given(
    lost=st.lists(st.tuples(st.integers(0, 1990), st.integers(1, 400)), max_size=6),
    dropped=st.lists(st.tuples(st.integers(0, 1990), st.integers(1, 400)), max_size=4),
)
def test_a_gap_is_described_as_by_looking_at_the_whole_recording(
    lost: list[tuple[int, int]], dropped: list[tuple[int, int]]
) -> None:
    values = np.random.default_rng(1).normal((0, 0, 9.8, 0, 0, 0), 1, (2000, 6))
    for first, length in lost:
        values[first : first + length] = np.nan
    keep = np.ones(2000, bool)
    for first, length in dropped:
        keep[first : first + length] = False
    times, values = np.arange(2000)[keep] / 50, values[keep]
    if times.size < 2 or np.isnan(values).all():
        return
    cut = WindowSettings(duration_s=2.0, stride_s=2.0, exclude="gap")
    stream = ImuStream(times, values, "head", origin="file")
    _, exclusions = cut_windows(Recording("r", "s", (stream,)), "any", None, cut)
    for exclusion in exclusions:
        if exclusion.reason is Reason.GAP:
            expected = describe_gap(times, values, exclusion.start_s, exclusion.start_s + 2.0, cut.max_gap_s)
            assert exclusion.detail == f"file: {expected}"
