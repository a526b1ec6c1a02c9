"""Shards that tests put into a store, and all that is read of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from datamodules.shards.reader import ShardSet

SIZES = [5, 0, 7, 6, 9, 4, 8, 6]
N = sum(SIZES)
ROOMY = 10**9


def everything(shards: ShardSet, windows: np.ndarray) -> list[Any]:
    return [*shards.imu(windows), *shards.frame_times(windows), shards.frames(windows)]


def assert_same(found: list[Any], expected: list[Any]) -> None:
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
