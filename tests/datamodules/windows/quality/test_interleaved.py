"""Rows of several sensors in turn, against the movement of one."""

from __future__ import annotations

import numpy as np
import pytest

from datamodules.recording import FloatArray
from datamodules.signal import G
from datamodules.windows.quality.interleaved import sensors_in_turn


def one(seed: int, n: int = 3000, rate: float = 50.0, speed: float = 6.0) -> FloatArray:
    """A sensor that turns about slowly and is shaken by some 2 m/s^2."""
    rng = np.random.default_rng(seed)
    t = np.arange(n)[:, None] / rate
    down = rng.normal(size=3) + 0.6 * np.sin(2 * np.pi * rng.uniform(0.05, 0.2, 3) * t + rng.uniform(0, 6, 3))
    down *= G / np.linalg.norm(down, axis=1, keepdims=True)
    shaken = 2 * np.sin(speed * t + rng.uniform(0, 6, 3))
    return np.concatenate([down + shaken + rng.normal(0, 0.05, (n, 3)), np.full((n, 3), np.nan)], axis=1)


def in_turn(*sensors: FloatArray) -> FloatArray:
    return np.stack(sensors, axis=1).reshape(-1, 6)


@pytest.mark.parametrize("many", [2, 3, 4])
def test_sensors_that_take_turns_are_counted(many: int) -> None:
    assert sensors_in_turn(in_turn(*(one(seed) for seed in range(many)))) == many


def test_lost_samples_of_both_do_not_hide_it() -> None:
    values = in_turn(one(0), one(1))
    values[1000:1100, 0] = np.nan
    assert sensors_in_turn(values) == 2


@pytest.mark.parametrize("rate", [20.0, 50.0, 400.0])
def test_movement_is_one_sensor(rate: float) -> None:
    for speed in (6.0, 40.0, 2 * np.pi * 0.45 * rate):  # the last one nearly alternates from sample to sample
        assert sensors_in_turn(one(0, rate=rate, speed=speed)) == 1


@pytest.mark.parametrize("every", [2, 3, 4])
@pytest.mark.parametrize("rate", [20.0, 25.0])
def test_a_tremor_that_comes_again_after_a_few_samples_is_one_sensor(every: int, rate: float) -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        # A line 0.2 Hz wide, as that of a hand at best: its phase diffuses by 2 pi 0.2 rad^2 a second.
        wander = np.cumsum(rng.normal(0, np.sqrt(2 * np.pi * 0.2 / rate), 3000))
        wave = np.sin(2 * np.pi * np.arange(3000) / every + 0.5 + wander)
        values = one(seed, rate=rate)
        values[:, :3] += 8 * wave[:, None] * [1, 0.3, 0.5]
        assert sensors_in_turn(values) == 1


def test_rest_noise_coarse_steps_and_short_recordings_are_one_sensor() -> None:
    rng = np.random.default_rng(0)
    rest = np.tile([0, 0, G, 0, 0, 0], (3000, 1))
    assert sensors_in_turn(rest) == 1
    assert sensors_in_turn(rest + rng.normal(0, 3, rest.shape)) == 1
    coarse = rest.copy()
    coarse[::2, 0] = 0.016 * G  # the least step of 8 bits over 4 g, as dithering gives it
    assert sensors_in_turn(coarse) == 1
    assert sensors_in_turn(in_turn(one(0), one(1))[:900]) == 1  # too short to tell
    assert sensors_in_turn(np.full((3000, 6), np.nan)) == 1
