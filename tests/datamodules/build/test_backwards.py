"""A clock that runs backwards costs its own recording, and the build says which and where."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from datamodules.build.run import build
from datamodules.recording import ImuStream, Recording, RecordingError
from datamodules.sources import registry
from datamodules.sources.registry import Source, source
from datamodules.windows.cut import WindowSettings


@dataclass
class ClockParams:
    """No settings."""


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> str:
    """A source of three recordings; the clock of the second one jumps back."""
    registry.sources()
    monkeypatch.setattr(registry.SOURCES, "_entries", dict(registry.SOURCES._entries))
    monkeypatch.setattr(registry.SOURCES, "_made_from", dict(registry.SOURCES._made_from))

    @source("clocks", ClockParams)
    class Clocks(Source):
        def __init__(self, params: ClockParams) -> None:
            self.params = params

        def names(self) -> list[str]:
            return ["good_1", "back", "good_2"]

        def load(self, name: str) -> Recording:
            times = np.arange(0, 20, 0.02)
            if name == "back":
                times[500:] -= 0.5
            rng = np.random.default_rng(len(name))
            values = rng.normal((0, 0, 9.81, 0, 0, 0), 0.3, (len(times), 6))
            stream = ImuStream(times, values, "waist", origin=f"study/{name}.csv")
            return Recording(name, "p1", (stream,), source="clocks")

    return "clocks"


def test_it_is_left_out_and_listed(clocks: str, tmp_path: Path) -> None:
    report = build(clocks, {}, tmp_path, WindowSettings(), "waist", workers=1)
    assert report.index.n_windows == 8
    assert report.index.tables["recording"] == ["good_1", "good_2"]
    listed = [
        row for row in json.loads((tmp_path / "index.json").read_text())["exclusions"] if row["recording"] == "back"
    ]
    assert len(listed) == 1
    assert "study/back.csv" in listed[0]["detail"]
    assert "study/back.csv" in str(report)


def test_it_stops_the_build_if_asked_to(clocks: str, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"study/back\.csv"):
        build(clocks, {}, tmp_path, WindowSettings(), "waist", workers=1, on_bad="raise")
