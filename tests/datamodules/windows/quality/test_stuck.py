"""Dead and hanging axes: the build leaves out their windows by the stretches that check_import names."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.made_motion import make_track

from datamodules.recording import FloatArray, ImuStream, Recording
from datamodules.windows.cut import Reason, WindowSettings, cut_windows
from datamodules.windows.quality.stuck import HungFinder, find_hung, find_stuck

RATE = 50.0
SETTINGS = WindowSettings(frames=0)


def made(seconds: float = 60.0) -> tuple[FloatArray, FloatArray]:
    values = make_track(3, seconds)
    return np.arange(len(values)) / RATE, values


def cut(times: FloatArray, values: FloatArray) -> tuple[list[float], dict[float, str]]:
    """Starts of the kept windows; start -> why of those that a flat line keeps out."""
    recording = Recording("r", "s", (ImuStream(times, values, "wrist", origin="file.csv"),))
    windows, left_out = cut_windows(recording, "wrist", None, SETTINGS)
    return [w.start_s for w in windows], {e.start_s: e.detail for e in left_out if e.reason is Reason.FLAT_LINE}


def test_moving_axes_are_no_fault() -> None:
    times, values = made()
    assert find_hung(times, values).stretches == ()
    kept, left_out = cut(times, values)
    assert len(kept) == 12
    assert not left_out


@pytest.mark.parametrize("channel", range(6))
@pytest.mark.parametrize("value", [0.0, -1.25])
def test_a_dead_axis_keeps_every_window_out(channel: int, value: float) -> None:
    times, values = made()
    values[:, channel] = value
    (hung,) = find_hung(times, values).stretches
    assert (hung.channel, hung.begin, hung.end, hung.value, hung.dead) == (channel, 0.0, times[-1], value, True)
    part = values[:, 3 * (channel // 3) : 3 * (channel // 3) + 3]
    assert find_stuck(times, part, 0.5).axes[channel % 3] == pytest.approx(1.0)
    kept, left_out = cut(times, values)
    assert kept == []
    assert len(left_out) == 12
    name = ("ax", "ay", "az", "gx", "gy", "gz")[channel]
    assert set(left_out.values()) == {f"file.csv: {name} reads {value:.4g} throughout the recording: a dead axis"}


def test_an_axis_that_hangs_keeps_out_the_windows_that_it_hangs_in() -> None:
    times, values = made()
    values[(times >= 17.9) & (times < 26), 1] = 4.5
    (hung,) = find_hung(times, values).stretches
    assert not hung.dead
    assert hung.begin == pytest.approx(17.9)
    assert hung.end == pytest.approx(25.98)
    assert find_stuck(times, values[:, :3], 0.5).axes[1] == pytest.approx(8.08 / 59.98)
    kept, left_out = cut(times, values)
    # It hangs for more than 2 s of the window from 15 s on, and for 0.98 s, which may be chance, of that from 25 s on.
    assert sorted(left_out) == [15.0, 20.0]
    assert "ay reads 4.5 for 8.08 s from 17.90 s on" in left_out[20.0]
    assert 25.0 in kept


def test_a_coarse_axis_at_rest_does_not_hang() -> None:
    times, values = made()
    rest = (times >= 20) & (times < 40)
    # All axes in steps of 0.3 m/s^2; at rest two of them waver between neighbouring steps, the third one doesn't.
    values[rest, :3] = [0.0, 0.0, 9.8]
    values[rest, :2] += np.random.default_rng(0).normal(scale=0.1, size=(int(rest.sum()), 2))
    values[:, :3] = np.round(values[:, :3] / 0.3) * 0.3
    assert find_hung(times, values).stretches == ()
    kept, left_out = cut(times, values)
    assert len(kept) == 12
    assert not left_out


def test_a_missing_gyroscope_and_lost_samples_are_no_dead_axis() -> None:
    times, values = made()
    values[:, 3:] = np.nan
    values[100:140, :3] = np.nan
    assert find_hung(times, values).stretches == ()
    values[:, 2] = 0.0
    values[100:140, 2] = np.nan
    (hung,) = find_hung(times, values).stretches
    assert hung.dead


@pytest.mark.parametrize("seed", range(20))
def test_stretch_by_stretch_finds_what_the_whole_shows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.005, 0.02, 3000))
    values = np.round(rng.normal(size=(3000, 6)), int(rng.integers(0, 3)))
    for _ in range(5):
        begin = int(rng.integers(0, 2500))
        values[begin : begin + int(rng.integers(1, 900)), rng.integers(0, 6)] = 1
    values[rng.random(3000) < 0.05, rng.integers(0, 6)] = np.nan
    values[:, rng.integers(0, 6)] = 0 if seed % 2 else values[:, 0]
    finder = HungFinder()
    for part in np.split(np.arange(3000), np.sort(rng.integers(0, 3000, 12))):
        finder.add(times[part], values[part])
    assert finder.found().stretches == find_hung(times, values).stretches
