"""A study of known faults: a source whose recordings say in their names what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from datamodules.recording import ImuStream, Interval, Recording, RecordingError
from datamodules.sources import registry
from datamodules.sources.registry import Source, source
from datamodules.windows.cut import WindowSettings

SETTINGS = WindowSettings(duration_s=5.0, stride_s=5.0, frames=5, frame_size=32)
RATE_HZ = 50.0
SECONDS = 60.0
KINDS = ("fine", "gap", "nan", "flat", "repeated", "holes", "black", "frozen", "late", "clocks", "unusable")


class MadeVideo:
    """A bright square that wanders over a black picture, as a depth camera shows a person."""

    camera = "room"

    def __init__(self, kind: str, seconds: float) -> None:
        self.origin = f"{kind}.mp4"
        self.kind = kind
        times = np.arange(0, seconds, 0.1)
        if kind == "late":
            times = times[times >= 20]
        if kind == "holes":
            times = times[(times < 21) | (times > 23)]
        self._times = times

    def frame_times(self) -> np.ndarray:
        return self._times

    def read(self, indices: NDArray[np.int64], height: int, width: int) -> Iterator[NDArray[np.uint8]]:
        for index in indices.tolist():
            frame = np.zeros((height, width, 3), np.uint8)
            time = self._times[index]
            dark = self.kind == "black" and 10 <= time < 20
            at = int(30 if self.kind == "frozen" and time >= 30 else time * 3) % (width - 8)
            if not dark:
                frame[8:16, at : at + 8] = 180
            yield frame


def made_recording(name: str, subject: str, kind: str, seconds: float = SECONDS, video: bool = True) -> Recording:
    """Windows of 5 s in a minute; what is wrong lies inside one of them, but for frozen (6) and late (4 missing)."""
    if kind == "unusable":
        raise RecordingError(f"{name}.csv: line 3 has two columns; expected seven <b>")
    rng = np.random.default_rng(sum(map(ord, name)))
    times = np.arange(0, seconds, 1 / RATE_HZ)
    values = rng.normal((0, 0, 9.81, 0, 0, 0), 0.3, (times.size, 6))
    repeated = np.empty(0)
    if kind == "gap":
        kept = (times < 12) | (times > 13.5)
        times, values = times[kept], values[kept]
    elif kind == "nan":
        values[1000:1003] = np.nan
    elif kind == "flat":
        values[1300:1340] = values[1300]
    elif kind == "repeated":
        repeated = times[300:400] + 0.0
    stream = ImuStream(times, values, "wrist", "made", 78.4, 34.9, f"{name}.csv", repeated)
    labels = (Interval(0, seconds / 2, "walk"), Interval(seconds / 2, seconds * 0.8, "sit <i>"))
    clock = {"clock_offset_s": 0.42 if kind == "clocks" else 0.01, "clock_confidence": 0.99}
    return Recording(
        name,
        subject,
        (stream,),
        (MadeVideo(kind, seconds),) if video else (),
        labels,
        "parkinson" if subject < "p3" else "healthy",
        "made",
        simulated=True,
        metadata=dict(clock),
    )


@dataclass
class MadeParams:
    """How many recordings; 0 takes one of each kind for three people."""

    many: int = 0


def register(monkeypatch: pytest.MonkeyPatch) -> str:
    """Make the source known; its name."""
    # All others first: those that were registered meanwhile would be forgotten with this one.
    registry.sources()
    monkeypatch.setattr(registry.SOURCES, "_entries", dict(registry.SOURCES._entries))
    monkeypatch.setattr(registry.SOURCES, "_made_from", dict(registry.SOURCES._made_from))

    @source("made_faults", MadeParams)
    class MadeFaults(Source):
        def __init__(self, params: MadeParams) -> None:
            self.params = params

        def names(self) -> list[str]:
            if self.params.many:
                return [f"p{i // 10}_{KINDS[i % 5]}_{i}" for i in range(self.params.many)]
            return [f"p{1 + i % 4}_{kind}" for i, kind in enumerate(KINDS)]

        def subject_of(self, name: str) -> str:
            return name.split("_")[0]

        def load(self, name: str) -> Recording:
            subject, kind = name.split("_")[:2]
            return made_recording(name, subject, kind, video=not self.params.many)

    return "made_faults"
