"""Clocks in a build: on simulated recordings, whose true offset can be asked for, and in whole builds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from helpers.made_clock import made_estimate
from helpers.made_motion import make_track
from numpy.typing import NDArray

from datamodules.clock_sync import CERTAIN, ClockSettings, shifted
from datamodules.clock_sync import apply_offset as module
from datamodules.clock_sync.apply_offset import apply_offset, describe_agreement, parse_clocks_mode
from datamodules.clock_sync.result import DISAGREE_S, LEAST_MARGIN
from datamodules.recording import FloatArray, ImuStream, Interval, Recording, RecordingError
from datamodules.windows.cut import Reason


@dataclasses.dataclass
class Frames:
    """A camera without pixels: what it would show is in the estimate that the test makes up."""

    times: FloatArray
    camera: str = "c"
    origin: str = "made up"

    def frame_times(self) -> FloatArray:
        return self.times

    def read(self, indices: NDArray[np.int64], height: int, width: int) -> Iterator[NDArray[np.uint8]]:
        raise RecordingError("made up: frame 0 can't be decoded")


def make_recording(seconds: float = 30.0, stated: float = 0.0) -> Recording:
    values = make_track(0, seconds)
    stream = ImuStream(np.arange(len(values)) / 50.0 - stated, values, "head", origin="imu.csv")
    other = dataclasses.replace(stream, placement="waist")
    video = Frames(np.arange(0, seconds, 1 / 30))
    return Recording("r", "s", (stream, other), (video,), imu_clock_offset_s=stated)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that says what the estimate will be."""

    def tell(*args: Any, **settings: Any) -> None:
        monkeypatch.setattr(module, "estimate_clock", lambda *_: made_estimate(*args, **settings))

    return tell


def test_reporting_changes_no_time_stamp(found: Callable[..., None]) -> None:
    found(0.4)
    before = make_recording(stated=0.25)
    after, dropped = apply_offset(before, "head", "c", "report")
    assert dropped is None
    assert after.imus is before.imus
    assert after.imu_clock_offset_s == before.imu_clock_offset_s
    assert after.metadata["clock_offset_s"] == 0.4
    assert after.metadata["clock_stated_s"] == 0.25
    assert after.metadata["clock_applied"] is False
    assert math.isnan(float(after.metadata["clock_drift_ppm"]))
    assert before.metadata == {}


def test_off_looks_at_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("nobody asked for an estimate")

    monkeypatch.setattr(module, "estimate_clock", never)
    recording = make_recording()
    assert apply_offset(recording, "head", "c", "off") == (recording, None)
    assert apply_offset(recording, "head", "", "drop") == (recording, None)


@pytest.mark.parametrize("stated", [0.0, -0.7])
def test_applying_brings_the_sensor_onto_the_videos_clock_with_its_drift(
    found: Callable[..., None], stated: float
) -> None:
    found(0.4, drift=50.0, error=5.0)
    before = make_recording(stated=stated)
    after, dropped = apply_offset(before, "head", "c", "apply")
    on_video = after.imu("head").times + after.imu_clock_offset_s
    was = before.imu("head").times + stated
    # By hand: 0.4 s at 15 s of the video, and 50 us more for each second after that.
    np.testing.assert_allclose(on_video, was + 0.4 + 50e-6 * (was + 0.4 - 15.0), rtol=0, atol=1e-9)
    assert after.metadata["clock_applied"] is True
    assert dropped is None
    # The other sensor has a clock of its own.
    assert after.imu("waist") is before.imu("waist")


def test_labels_move_along_with_the_sensor_on_whose_clock_they_were_given(found: Callable[..., None]) -> None:
    found(0.4, drift=50.0, error=5.0)
    labels = (Interval(2.0, 12.0, "walking"), Interval(12.0, 30.0, "turning"))
    before = dataclasses.replace(make_recording(stated=-0.7), activities=labels)

    def after(mode: str, *labelled_on: str) -> Any:
        given = dataclasses.replace(before, labelled_on=labelled_on)
        return apply_offset(given, "head", "c", mode)[0].activities

    moved = after("apply", "waist", "head")
    assert [one.activity for one in moved] == ["walking", "turning"]
    # Labels are on the video's clock already; by hand: 0.4 s at 15 s, and 50 us more for each second after that.
    edges = np.array([2.0, 12.0, 30.0])
    expected = edges + 0.4 + 50e-6 * (edges + 0.4 - 15.0)
    found_edges = [moved[0].start, moved[0].end, moved[1].end]
    np.testing.assert_allclose(found_edges, expected, rtol=0, atol=1e-12)
    assert moved[1].start == moved[0].end
    # Given by the video, or on another sensor's clock: what was found says nothing of them.
    assert after("apply") == labels
    assert after("apply", "waist") == labels
    assert after("report", "head") == labels


def test_a_drift_that_can_not_be_told_is_not_applied(found: Callable[..., None]) -> None:
    found(0.4, drift=50.0, error=math.nan)
    before = make_recording()
    after, _ = apply_offset(before, "head", "c", "apply")
    np.testing.assert_allclose(after.imu("head").times, before.imu("head").times + 0.4, rtol=0, atol=1e-12)


@pytest.mark.parametrize("mode", ["apply", "drop"])
@pytest.mark.parametrize(
    ("offset", "confidence", "margin"),
    [(0.9, CERTAIN - 0.01, 9.0), (0.9, 1.0, LEAST_MARGIN - 0.01), (math.nan, 0.0, 0.0)],
)
def test_what_is_not_certain_is_neither_applied_nor_dropped(
    found: Callable[..., None], mode: str, offset: float, confidence: float, margin: float
) -> None:
    found(offset, confidence, margin=margin)
    before = make_recording()
    after, dropped = apply_offset(before, "head", "c", mode)
    assert after.imus is before.imus
    assert after.metadata["clock_applied"] is False
    assert dropped is None


@pytest.mark.parametrize(
    ("offset", "drift", "error", "left_out"),
    [
        (DISAGREE_S + 0.01, 0.0, math.nan, True),
        (-DISAGREE_S - 0.01, 0.0, math.nan, True),
        (DISAGREE_S - 0.01, 0.0, math.nan, False),
        # Agrees in the middle, and is 15 s * 2,000 ppm = 30 ms further off at the ends.
        (DISAGREE_S - 0.01, 2000.0, 10.0, True),
    ],
)
def test_dropping_takes_what_disagrees_for_certain(
    found: Callable[..., None], offset: float, drift: float, error: float, left_out: bool
) -> None:
    found(offset, drift=drift, error=error)
    recording, dropped = apply_offset(make_recording(), "head", "c", "drop")
    assert (dropped is not None) == left_out
    assert recording.metadata["clock_offset_s"] == offset
    # What is said of it is what was done about it, where the drift alone makes them disagree too.
    assert describe_agreement(recording.metadata) == ("disagree" if left_out else "agree")
    if dropped:
        assert dropped.reason is Reason.CLOCKS
        assert "imu.csv" in dropped.detail
        assert "ms apart" in dropped.detail


def test_repeated_stamps_move_with_the_others() -> None:
    stream = dataclasses.replace(make_recording().imus[0], repeated=np.array([2.0, 5.0]))
    np.testing.assert_allclose(shifted(stream, 0.5, 100.0, 1.0).repeated, [2.50015, 5.50045], rtol=0, atol=1e-12)


def test_short_recordings_and_broken_frames_are_noted() -> None:
    # Two of ten seconds may be lost to clocks that are 2 s apart.
    short, dropped = apply_offset(make_recording(8.0), "head", "c", "drop")
    assert short.metadata == {"clock_note": "sensor and video share 8.0 s"}
    assert dropped is None
    broken, dropped = apply_offset(make_recording(), "head", "c", "apply")
    assert broken.metadata == {"clock_note": "made up: frame 0 can't be decoded"}
    assert dropped is None


def test_modes() -> None:
    assert [parse_clocks_mode(text) for text in ("report", "apply", "drop", "off", "False")] == [*module.CLOCKS, "off"]
    with pytest.raises(ValueError, match=r"build\.clocks is 'yes'; expected one of report, apply, drop, off"):
        parse_clocks_mode("yes")


@pytest.mark.parametrize(
    ("clock", "expected"),
    [
        ({}, ""),
        ({"clock_note": "too short"}, "not looked at"),
        ({"clock_offset_s": None, "clock_confidence": 0.0}, "can't tell"),
        ({"clock_offset_s": 0.5, "clock_confidence": 0.5}, "can't tell"),
        ({"clock_offset_s": 0.05, "clock_confidence": 0.99}, "agree"),
        ({"clock_offset_s": -0.5, "clock_confidence": 0.99}, "disagree"),
        ({"clock_offset_s": 0.05, "clock_apart_s": 0.2, "clock_confidence": 0.99}, "disagree"),
        ({"clock_offset_s": -0.5, "clock_confidence": 0.99, "clock_applied": True}, "disagreed, shifted"),
        # The above are of shards without a certainty, which the confidence alone decided.
        ({"clock_offset_s": -0.5, "clock_confidence": 0.99, "clock_certainty": "unknown"}, "can't tell"),
        ({"clock_offset_s": -0.5, "clock_confidence": 0.9, "clock_certainty": "likely"}, "seem to disagree"),
        ({"clock_offset_s": 0.05, "clock_confidence": 0.9, "clock_certainty": "likely"}, "seem to agree"),
    ],
)
def test_verdicts(clock: dict[str, Any], expected: str) -> None:
    assert describe_agreement(clock) == expected


def test_a_build_looks_at_no_more_than_80_s_of_a_video() -> None:
    assert dataclasses.replace(ClockSettings(), max_video_s=80.0) == module.BUILD_SETTINGS
