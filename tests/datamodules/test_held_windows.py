"""Windows held in memory are those of the shards, under the same numbers."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from helpers.fake_shards import FakeShards

from datamodules.held_windows import HeldWindows


def test_held_windows_are_those_of_the_shards_in_any_order() -> None:
    shards = FakeShards()
    shards.sample_mask[17, 40:] = False
    shards.channel_mask[5, 3:] = False
    held = HeldWindows.of(shards, np.array([17, 3, 40, 3, 5]))
    assert held.numbers.tolist() == [3, 5, 17, 40]
    held = pickle.loads(pickle.dumps(held))  # what other processes get
    asked = np.array([40, 5, 5, 17])
    for found, expected in zip(held.imu(asked), shards.imu(asked), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert held.settings == shards.settings


@pytest.mark.parametrize("held", [[3, 17], []])
@pytest.mark.parametrize("asked", [2, 5, 18])
def test_a_window_that_is_not_held_is_an_error(held: list[int], asked: int) -> None:
    windows = HeldWindows.of(FakeShards(), np.array(held, np.int64))
    with pytest.raises(KeyError, match=f"window {asked} is not held"):
        windows.imu(np.array([*held, asked]))
