from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.settings import check_settings
from datamodules.recording import ImuStream, Interval, Recording, RecordingError
from datamodules.windows.checks import check_imu, check_recording
from datamodules.windows.cut import Reason, WindowSettings, cut_windows, label_of

GRID = WindowSettings(duration_s=2.0, stride_s=1.0, frames=4)
CENTRED = dataclasses.replace(GRID, layout="centred")


class Clip:
    """A video of known times without pixels."""

    camera = "head"
    origin = "clip"

    def __init__(self, times: NDArray[np.float64]) -> None:
        self._times = np.asarray(times, float)

    def frame_times(self) -> NDArray[np.float64]:
        return self._times

    def read(self, indices: NDArray[np.int64], height: int, width: int) -> Iterator[NDArray[np.uint8]]:
        raise AssertionError("cutting must not decode")


def moving(n: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(scale=0.5, size=(n, 6)) + np.array([0, 0, 9.8, 0, 0, 0])


def recording(
    values: NDArray[np.float64] | None = None,
    times: NDArray[np.float64] | None = None,
    frames: NDArray[np.float64] | None = None,
    **kwargs: Any,
) -> Recording:
    values = moving(500) if values is None else values
    times = np.arange(len(values)) / 50.0 if times is None else times
    stream = ImuStream(times, values, "chest", origin="file.csv", **kwargs.pop("imu", {}))
    videos = () if frames is None else (Clip(frames),)
    return Recording("r1", "s1", (stream,), videos, **kwargs)


def cut(rec: Recording, settings: WindowSettings = GRID, camera: str | None = None) -> Any:
    return cut_windows(rec, "any", camera, settings)


def test_grid_covers_the_recording_and_counts_the_rest() -> None:
    windows, exclusions = cut(recording(moving(530)))
    assert [w.start_s for w in windows] == pytest.approx(np.arange(9.0))
    assert [(e.reason, e.start_s) for e in exclusions] == [(Reason.REMAINDER, pytest.approx(10.0))]
    whole, none = cut(recording(moving(500)))
    assert len(whole) == 9
    assert none == []
    for w in whole:
        assert w.sample_mask.all()


@settings(max_examples=50, deadline=None)
@given(n=st.integers(20, 900), duration=st.sampled_from([1.0, 2.5]), stride=st.sampled_from([0.5, 2.5]))
def test_every_grid_window_lies_inside_and_no_whole_one_is_missed(n: int, duration: float, stride: float) -> None:
    chosen = dataclasses.replace(GRID, duration_s=duration, stride_s=stride)
    windows, exclusions = cut(recording(moving(n)), chosen)
    starts = [w.start_s for w in windows]
    assert all(w.sample_mask.all() for w in windows)
    end = n / 50
    if starts:
        assert starts[-1] + duration <= end + 0.011
        assert starts[-1] + stride + duration > end - 0.011
    else:
        assert [e.reason for e in exclusions] == [Reason.SHORT]


def test_windows_hold_the_samples_of_their_time() -> None:
    values = moving(500)
    windows, _ = cut(recording(values))
    # float32 of what a spline returns at its own knots
    np.testing.assert_allclose(windows[3].imu, values[150:250], rtol=1e-6, atol=1e-6)


def test_centred_windows_are_padded_or_cropped() -> None:
    (short,), none = cut(recording(moving(60)), CENTRED)
    assert none == []
    assert short.sample_mask.sum() == 60
    assert short.sample_mask[20:80].all()
    assert not short.imu[~short.sample_mask].any()
    (long,), _ = cut(recording(moving(500)), CENTRED)
    assert long.sample_mask.all()
    assert long.start_s == pytest.approx(4.0)


def test_the_nearest_frames_and_their_true_times() -> None:
    frames = np.arange(300) / 30 + 0.007
    windows, _ = cut(recording(frames=frames), camera="head")
    for w in windows:
        requested = w.start_s + np.array([0.25, 0.75, 1.25, 1.75])
        np.testing.assert_array_equal(w.frame_indices, np.abs(frames[None] - requested[:, None]).argmin(axis=1))
        np.testing.assert_allclose(w.frame_times, frames[w.frame_indices] - w.start_s, atol=1e-6)
        assert w.frame_mask.all()


def test_frames_outside_the_video_are_masked() -> None:
    (window,), _ = cut(recording(moving(100), frames=np.arange(0.6, 1.4, 0.1)), CENTRED, "head")
    np.testing.assert_array_equal(window.frame_mask, [False, True, True, False])
    np.testing.assert_array_equal(window.frame_indices < 0, ~window.frame_mask)


def test_a_hole_in_the_video_is_no_frame() -> None:
    frames = np.r_[np.arange(0, 2, 0.04), np.arange(5, 10, 0.04)]
    rec = recording(frames=frames)
    windows, exclusions = cut(rec, camera="head")
    assert [e.start_s for e in exclusions if e.reason == Reason.NO_VIDEO] == [2.0, 3.0]
    assert [e.start_s for e in exclusions if e.reason == Reason.MISSING_FRAMES] == [1.0, 4.0]
    assert all(w.frame_mask.all() and not w.faults for w in windows)
    marked, _ = cut(rec, dataclasses.replace(GRID, exclude=""), camera="head")
    assert [w.frame_mask.sum() for w in marked[:2]] == [4, 2]
    assert [w.faults for w in marked[:3]] == [(), (Reason.MISSING_FRAMES,), (Reason.MISSING_FRAMES,)]


def test_no_overlap_and_no_camera() -> None:
    windows, (exclusion,) = cut(recording(frames=np.arange(20, 30, 0.04)), camera="head")
    assert windows == []
    assert exclusion.reason == Reason.NO_VIDEO
    with pytest.raises(RecordingError, match="no camera 'chest'; it has: head"):
        cut(recording(frames=np.arange(0, 5, 0.04)), camera="chest")


def test_the_clock_offset_moves_the_imu() -> None:
    frames = np.arange(0, 10, 0.04)
    windows, _ = cut(recording(frames=frames, imu_clock_offset_s=3.0), camera="head")
    assert windows[0].start_s == pytest.approx(3.0)
    np.testing.assert_allclose(windows[0].imu, moving(500)[:100], rtol=1e-5, atol=1e-6)


FAULTY = {
    "gap": lambda v, t: (np.delete(v, np.s_[220:240], 0), np.delete(t, np.s_[220:240])),
    "nan": lambda v, t: (np.where(np.arange(500)[:, None] == 230, np.nan, v), t),
    "saturated": lambda v, t: (np.where(np.isin(np.arange(500), [230, 232, 234])[:, None], 78.4, v), t),
    "flat_line": lambda v, t: (np.where((np.arange(500)[:, None] // 30) == 7, v[215], v), t),
}


@pytest.mark.parametrize("reason", FAULTY)
def test_a_fault_costs_only_the_windows_that_show_it(reason: Any) -> None:
    values, times = FAULTY[reason](moving(500), np.arange(500) / 50.0)
    rec = recording(values, times, imu={"acceleration_range": 78.45})
    tiles = dataclasses.replace(GRID, stride_s=2.0)
    windows, (exclusion,) = cut(rec, tiles)
    assert exclusion.reason.value == reason
    assert exclusion.start_s == pytest.approx(4.0)
    assert exclusion.detail.startswith("file.csv: ")
    assert [w.start_s for w in windows] == pytest.approx([0, 2, 6, 8])
    kept, none = cut(rec, dataclasses.replace(tiles, exclude=""))
    assert none == []
    assert reason in {f.value for f in kept[2].faults}
    assert all(w.faults == () for w in windows)


def test_wrong_units_are_noticed() -> None:
    _, exclusions = cut(recording(moving(500) / 9.8))
    assert {e.reason for e in exclusions} == {Reason.GRAVITY}


def test_a_device_without_gyroscope() -> None:
    values = moving(500)
    values[:, 3:] = np.nan
    windows, exclusions = cut(recording(values))
    assert exclusions == []
    np.testing.assert_array_equal(windows[0].channel_mask, [1, 1, 1, 0, 0, 0])
    assert windows[0].sample_mask.all()
    assert not windows[0].imu[:, 3:].any()


def test_labels_need_their_share() -> None:
    acts = (Interval(0, 1.3, "walk"), Interval(1.3, 2, "sit"))
    assert label_of(acts, 0, 2, 0.6) == "walk"
    assert label_of(acts, 0, 2, 0.7) == ""
    assert label_of((*acts, Interval(1.5, 1.6, "walk")), 0, 2, 0.7) == "walk"
    assert label_of((), 0, 2, 0.1) == ""
    rec = recording(activities=(Interval(0, 5, "walk"),))
    windows, exclusions = cut(rec, dataclasses.replace(GRID, keep_unlabelled=False))
    assert {w.activity for w in windows} == {"walk"}
    assert {e.reason for e in exclusions} == {Reason.NO_LABEL}
    # Of a padded window, what was measured counts.
    padded = recording(moving(50), activities=(Interval(0, 1, "fall"),))
    assert cut(padded, CENTRED)[0][0].activity == "fall"


def test_any_needs_a_single_imu() -> None:
    rec = recording()
    two = dataclasses.replace(rec, imus=(rec.imus[0], dataclasses.replace(rec.imus[0], placement="wrist")))
    with pytest.raises(RecordingError, match="chest, wrist"):
        cut(two)
    assert cut_windows(two, "wrist", None, GRID)[0][0].placement == "wrist"


def test_settings_that_make_no_sense_are_named() -> None:
    for change, text in (
        ({"layout": "random"}, "layout"),
        ({"exclude": "gaps"}, "gaps"),
        ({"stride_s": 0.0}, "stride_s"),
        ({"median_kernel": 4}, "median_kernel"),
        ({"standstill_s": 0.0}, "standstill_s"),
        ({"saturated_samples": 0}, "saturated_samples"),
        ({"min_norm_g": 4.0}, "min_norm_g"),
        ({"max_repeated_share": 1.0}, "max_repeated_share"),
        ({"black_level": 256.0}, "black_level"),
        ({"frozen_share": 0.0}, "frozen_share"),
    ):
        with pytest.raises(ValueError, match=text):
            check_settings(dataclasses.replace(GRID, **change), "window")


def test_streams_that_break_the_contract_are_refused() -> None:
    good = recording().imus[0]
    check_imu(good)
    times = good.times.copy()
    times[200] = times[100]
    values = good.values.copy()
    values[3, 1] = np.inf
    for change, text in (
        ({"times": times}, r"file.csv.*runs backwards.*sample 199"),
        ({"times": np.where(np.arange(500) == 7, np.nan, good.times)}, "not finite.*sample 7"),
        ({"values": good.values[:, :3]}, r"expected \(N,\) and \(N, 6\)"),
        ({"values": values}, "infinite.*sample 3, channel ay"),
        ({"values": np.full((500, 6), np.nan)}, "ax, ay, az"),
    ):
        with pytest.raises(RecordingError, match=text):
            check_imu(dataclasses.replace(good, **change))
    with pytest.raises(RecordingError, match="end after the start"):
        check_recording(recording(activities=(Interval(2, 1, "walk"),)))
