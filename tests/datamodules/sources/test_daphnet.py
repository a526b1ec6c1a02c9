from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.real_data import real_data
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from datamodules.recording import STANDARD_GRAVITY, Recording, RecordingError
from datamodules.sources.daphnet import Daphnet, DaphnetParams, _times
from datamodules.windows.checks import check_recording
from datamodules.windows.cut import WindowSettings, cut_windows

GRID = WindowSettings(duration_s=4.0, stride_s=4.0, frames=0, min_label_share=0.5)
HEADER = (
    "timestamp,ankle_hori_fw,ankle_vertical,ankle_hori_lat,thigh_hori_fw,thigh_vertical,thigh_hori_lat,"
    "trunk_hori_fw,trunk_vertical,trunk_hori_lat,annotation"
)


def load(root: Path, name: str) -> Recording:
    recording = Daphnet(DaphnetParams(str(root))).load(name)
    check_recording(recording)
    return recording


def made_rows(annotations: Sequence[int], first_tick: int = 0, seed: int = 0) -> NDArray[np.int64]:
    """Samples at 64 Hz, upright, with these annotations."""
    n = len(annotations)
    ticks = first_tick + np.arange(n)
    values = np.tile([10, 1000, -20], (n, 3)) + np.random.default_rng(seed).integers(-50, 51, (n, 9))
    return np.column_stack([ticks * 1000 // 64, values, annotations])


def write(root: Path, name: str, rows: NDArray[np.int64], published: bool = False) -> Path:
    lines = [(" " if published else ",").join(map(str, row)) for row in rows]
    path = root / f"{name}.txt"
    path.write_text("\n".join(lines if published else [HEADER, *lines]) + "\n")
    return path


def labels(recording: Recording) -> list[tuple[str, float, float]]:
    return [(i.activity, i.start, i.end) for i in recording.activities]


def freezing(recording: Recording) -> list[tuple[str, float, float]]:
    return [label for label in labels(recording) if label[0] == "freezing"]


@pytest.mark.slow
def test_the_real_set() -> None:
    source = Daphnet(DaphnetParams(str(real_data("daphnet") / "trimmed_csv")))
    names = source.names()
    assert len(names) == 11
    assert {source.subject_of(name) for name in names} == {"S01", "S02", "S03", "S05", "S06", "S07", "S08"}
    episodes: dict[str, int] = {}
    hours, lost = 0.0, {"ankle": 0, "thigh": 0, "trunk": 0}
    for name in names:
        recording = source.load(name)
        check_recording(recording)
        assert recording.population == "parkinson"
        assert [s.placement for s in recording.imus] == list(lost)
        steps = np.diff(recording.imus[0].times)
        assert set(steps[steps < 1]) == {1 / 64}  # to the last bit
        hours += len(steps) / 64 / 3600
        subject = recording.subject
        episodes[subject] = episodes.get(subject, 0) + len(freezing(recording))
        for stream in recording.imus:
            assert np.isnan(stream.values[:, 3:]).all()
            lost[stream.placement] += int(np.isnan(stream.values[:, 0]).sum())
        norm = np.linalg.norm(recording.imu("trunk").values[:, :3], axis=1).mean()
        assert norm == pytest.approx(STANDARD_GRAVITY, rel=0.05)  # people move, and the sensors are not calibrated
    assert episodes == {"S01": 5, "S02": 24, "S03": 6, "S05": 66, "S06": 0, "S07": 24, "S08": 14}
    assert sum(episodes.values()) == 139
    assert hours == pytest.approx(2.01, abs=0.01)
    assert lost == {"ankle": 34, "thigh": 0, "trunk": 0}


def test_a_dead_sensor_gives_no_window_and_is_counted() -> None:
    recording = load(real_data("daphnet") / "trimmed_csv", "S03R03")
    windows, left_out = cut_windows(recording, "thigh", None, GRID)
    assert windows == []
    reasons = [e.reason.value for e in left_out]
    assert reasons.count("flat_line") == 82
    assert set(reasons) == {"flat_line", "remainder"}
    windows, _ = cut_windows(recording, "trunk", None, GRID)
    assert len(windows) == 82
    assert not windows[0].channel_mask[3:].any()


def test_real_windows_never_span_what_was_cut_out() -> None:
    recording = load(real_data("daphnet") / "trimmed_csv", "S08R01")
    times = recording.imus[0].times
    gaps = np.flatnonzero(np.diff(times) > 1)
    assert [round(gap) for gap in np.diff(times)[gaps]] == [140, 130, 260]
    windows, left_out = cut_windows(recording, "ankle", None, GRID)
    for window in windows:
        inside = (times >= window.start_s - 1e-9) & (times < window.start_s + 4 - 1e-9)
        assert inside.sum() == 256
    # All of 12.8 minutes but what a grid loses at each side of a gap.
    assert len(windows) == pytest.approx(len(times) / 256, abs=7)
    assert sum(e.reason.value == "gap" for e in left_out) > 100
    assert {w.activity for w in windows} == {"freezing", "no_freezing"}


@pytest.mark.parametrize(
    "name", ["S07R02", *(pytest.param(name, marks=pytest.mark.slow) for name in ("S01R02", "S03R03"))]
)
def test_both_layouts_of_a_real_recording_agree(name: str) -> None:
    root = real_data("daphnet")
    trimmed, published = load(root / "trimmed_csv", name), load(root / "published", name)
    times = published.imus[0].times
    common = np.isin(times, trimmed.imus[0].times)
    assert common.sum() == len(trimmed.imus[0].times)
    assert len(times) > 1.5 * common.sum()
    for a, b in zip(trimmed.imus, published.imus, strict=True):
        np.testing.assert_array_equal(a.times, b.times[common])
        np.testing.assert_array_equal(a.values, b.values[common])
        assert (a.placement, a.device) == (b.placement, b.device)
    assert freezing(trimmed) == freezing(published)
    # What is outside the experiment has no label.
    labelled = sum(i.end - i.start for i in published.activities)
    assert labelled == pytest.approx(common.sum() / 64)
    windows, _ = cut_windows(published, "trunk", None, GRID)
    assert "" in {w.activity for w in windows}


@given(tick=st.integers(0, 10**8))
def test_stamps_that_were_cut_off_are_put_back(tick: int) -> None:
    stamp = tick * 1000 // 64
    assert _times(np.array([stamp]))[0] == tick / 64
    assert _times(np.array([stamp + 2]))[0] == (stamp + 2) / 1000  # no multiple of 1/64 s is within 2 ms


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60))
def test_times_of_any_ascending_stamps_ascend(steps: list[int]) -> None:
    stamps = np.cumsum(steps)
    times = _times(stamps)
    assert (np.diff(times) > 0).all()
    assert (np.abs(times - stamps / 1000) < 0.001).all()


@pytest.mark.parametrize("published", [True, False])
def test_labels_end_with_the_annotation_and_at_gaps(tmp_path: Path, published: bool) -> None:
    first = made_rows([0] * 64 + [1] * 128 + [2] * 64)
    second = made_rows([2] * 32 + [1] * 64, first_tick=64 * 20)
    write(tmp_path, "S01R01", np.concatenate([first, second]), published)
    assert labels(load(tmp_path, "S01R01")) == [
        ("no_freezing", 1.0, 3.0),
        ("freezing", 3.0, 4.0),
        ("freezing", 20.0, 20.5),
        ("no_freezing", 20.5, 21.5),
    ]


def test_a_lost_sample_does_not_end_a_label(tmp_path: Path) -> None:
    rows = np.delete(made_rows([2] * 128), [40, 41], axis=0)
    write(tmp_path, "S01R01", rows)
    assert labels(load(tmp_path, "S01R01")) == [("freezing", 0.0, 2.0)]


def test_units_axes_and_damaged_samples(tmp_path: Path) -> None:
    rows = made_rows([1] * 320)
    rows[100, 4:7] = [-1, 17410, 465]  # the thigh's
    write(tmp_path, "S02R01", rows, published=True)
    recording = load(tmp_path, "S02R01")
    trunk = recording.imu("trunk").values
    np.testing.assert_allclose(trunk[:, :3], rows[:, 7:10] / 1000 * 9.80665)
    assert np.isnan(recording.imu("thigh").values[100]).all()
    assert np.flatnonzero(np.isnan(recording.imu("thigh").values[:, 0])).tolist() == [100]
    (left_out,) = (e for e in cut_windows(recording, "thigh", None, GRID)[1] if e.reason.value == "nan")
    assert "S02R01.txt: 1 samples with NaN, the first at 1.562 s" in left_out.detail


@pytest.mark.parametrize("published", [True, False])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda fields: fields[:-1], "10 columns"),
        (lambda fields: [*fields, "1"], "12 columns"),
        (lambda fields: [*fields[:3], "x", *fields[4:]], "whole numbers"),
        (lambda fields: [*fields[:-1], "3"], "the annotation is 3; expected 0, 1 or 2"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, change: Callable[[Any], Any], says: str, published: bool) -> None:
    path = write(tmp_path, "S01R01", made_rows([1] * 6), published)
    separator = " " if published else ","
    lines = path.read_text().splitlines()
    lines[4] = separator.join(change(lines[4].split(separator)))
    path.write_text("\n".join(lines))
    with pytest.raises(RecordingError, match=rf"S01R01\.txt, line 5: .*{says}"):
        load(tmp_path, "S01R01")


def test_a_truncated_file_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, "S01R01", made_rows([1] * 6))
    data = path.read_bytes().rstrip()
    for length in (0, 40, len(HEADER) + 20, len(data) - 1, len(data) - 2, len(data) - 6):
        path.write_bytes(data[:length])
        with pytest.raises(RecordingError, match="S01R01"):
            load(tmp_path, "S01R01")


def test_what_is_not_there_or_not_expected_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no Daphnet here; expected S01R01\.txt"):
        Daphnet(DaphnetParams(str(tmp_path))).names()
    path = write(tmp_path, "S01R01", made_rows([1] * 6))
    source = Daphnet(DaphnetParams(str(tmp_path)))
    with pytest.raises(RecordingError, match=r"S01R02\.txt: not there"):
        source.load("S01R02")
    with pytest.raises(RecordingError, match="'Readme' is not a recording of Daphnet"):
        source.load("Readme")
    with pytest.raises(ValueError, match="no recording of subjects S09"):
        Daphnet(DaphnetParams(str(tmp_path), ["S09"])).names()
    path.write_text(path.read_text().replace("ankle_vertical", "ankle_up"))
    with pytest.raises(RecordingError, match=r"line 1: the header is .*ankle_up"):
        source.load("S01R01")
    backwards = made_rows([1] * 6)[::-1]
    write(tmp_path, "S01R01", backwards)
    with pytest.raises(RecordingError, match=r"S01R01\.txt, IMU at ankle: time runs backwards"):
        check_recording(source.load("S01R01"))
