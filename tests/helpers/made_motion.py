"""Windows of smooth random movement by several people, and real ones: what the audit is tried on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

RATE_HZ, SAMPLES, DURATION_S = 50.0, 250, 5.0


@dataclass(frozen=True)
class Motion:
    """A table and its windows; ``read`` is what readers of shards are."""

    table: dict[str, NDArray[Any]]
    imu: NDArray[np.float32]
    samples: NDArray[np.bool_]
    channels: NDArray[np.bool_]

    def read(self, windows: NDArray[np.int64]) -> tuple[Any, Any, Any]:
        return self.imu[windows], self.samples[windows], self.channels[windows]

    @property
    def windows(self) -> NDArray[np.int64]:
        return np.arange(len(self.imu))

    @property
    def labels(self) -> NDArray[np.int64]:
        return np.unique(self.table["activity"], return_inverse=True)[1]

    @property
    def people(self) -> NDArray[np.int64]:
        return np.unique(self.table["subject"], return_inverse=True)[1]

    def sides(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """One person tested at a time."""
        return [(np.flatnonzero(self.people != p), np.flatnonzero(self.people == p)) for p in np.unique(self.people)]

    def but(self, **changes: Any) -> Motion:
        return replace(self, **changes)

    def with_columns(self, **columns: NDArray[Any]) -> Motion:
        return replace(self, table={**self.table, **columns})


def make_track(seed: int, seconds: float, rate_hz: float = RATE_HZ) -> NDArray[np.float64]:
    """(N, 6) m/s^2 and rad/s: gravity and movement below some 5 Hz."""
    noise = np.random.default_rng(seed).normal(size=(round(seconds * rate_hz), 6))
    smooth = gaussian_filter1d(noise, 0.04 * rate_hz, axis=0)
    scale = np.repeat([3.0, 1.0], 3) / smooth.std(axis=0)
    return np.asarray(smooth * scale + np.array([0, 0, 9.8, 0, 0, 0]))


def make_motion(people: int = 4, classes: int = 6, per_class: int = 5, seed: int = 0) -> Motion:
    """Each window is a recording of its own; nothing in it depends on the activity."""
    n = people * classes * per_class
    imu = np.stack([make_track(seed * 100_000 + i, DURATION_S) for i in range(n)]).astype(np.float32)
    number = np.arange(n)
    table: dict[str, NDArray[Any]] = {
        "subject": np.array([f"p{i}" for i in number // (classes * per_class)]),
        "recording": np.array([f"r{i}" for i in number]),
        "activity": np.array([f"a{i}" for i in number // per_class % classes]),
        "placement": np.full(n, "wrist"),
        "start_s": np.zeros(n),
    }
    return Motion(table, imu, np.ones((n, SAMPLES), bool), np.ones((n, 6), bool))
