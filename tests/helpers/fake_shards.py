"""Windows in memory that look like a ShardSet, with activities that any encoder can tell apart."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from datamodules.windows.cut import WindowSettings

ACTIVITIES = ("bend", "sit", "turn", "walk")
SAMPLES, RATE_HZ = 50, 25.0


class FakeShards:
    """``per_class`` windows of each activity for every subject; the activity sets frequency and tilt."""

    def __init__(
        self, subjects: tuple[str, ...] = ("1", "2", "3", "4"), per_class: int = 6, seed: int = 0,
        activities: tuple[str, ...] = ACTIVITIES, simulated: bool = False, source: str = "fake",
    ) -> None:  # fmt: skip
        rng = np.random.default_rng(seed)
        labels = np.array([a for _ in subjects for a in activities for _ in range(per_class)])
        owners = np.array([s for s in subjects for _ in range(per_class * len(activities))])
        times = np.arange(SAMPLES) / RATE_HZ
        code = np.array([activities.index(a) for a in labels], dtype=float)
        phase = rng.uniform(0, 2 * np.pi, len(labels))
        wave = np.sin(2 * np.pi * (1 + code)[:, None] * times + phase[:, None])
        values = rng.normal(scale=0.2, size=(len(labels), SAMPLES, 6))
        values[:, :, 0] += 3 * wave
        values[:, :, 1] += 3 * code[:, None] - 4
        values[:, :, 2] += 9.8
        values[:, :, 4] += wave
        self._imu = values.astype(np.float32)
        n = len(labels)
        self.table: dict[str, Any] = {
            "activity": labels, "subject": owners, "population": np.full(n, "healthy"),
            "recording": np.array([f"r{i}" for i in range(n)]), "placement": np.full(n, "wrist"),
            "device": np.full(n, "fake"), "start_s": np.zeros(n),
        }  # fmt: skip
        self.settings = WindowSettings(duration_s=SAMPLES / RATE_HZ, imu_rate_hz=RATE_HZ, frames=0)
        self.simulated = simulated
        self.fingerprint = f"fake-{seed}-{n}"
        self.index = SimpleNamespace(build={"source": source})
        self.directory = "fake"
        self.damaged = None
        self.sample_mask = np.ones((n, SAMPLES), bool)
        self.channel_mask = np.ones((n, 6), bool)
        self.read: list[int] = []
        self.stretches: dict[str, list[list[Any]]] = {}  # recording -> [begin, end, activity]

    @property
    def n_windows(self) -> int:
        return len(self._imu)

    def imu(self, indices: Any) -> tuple[Any, Any, Any]:
        self.read += [int(i) for i in indices]
        return self._imu[indices], self.sample_mask[indices], self.channel_mask[indices]

    def facts(self) -> list[Any]:
        return [SimpleNamespace(recording=name, labels=labels) for name, labels in self.stretches.items()]
