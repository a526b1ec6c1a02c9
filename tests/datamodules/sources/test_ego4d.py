"""Ego4D by its published description: made files with the faults that the publisher warns of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.made_data import make_video
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from datamodules.recording import Recording, RecordingError
from datamodules.sources.ego4d import Ego4d, Ego4dParams, sort_packets
from datamodules.windows.checks import check_recording

UID, OTHER = "0a1b", "2c3d"
HEADER = "component_idx,component_timestamp_ms,canonical_timestamp_ms,gyro_x,gyro_y,gyro_z,accl_x,accl_y,accl_z"
# The sample of https://ego4d-data.org/docs/data/imu.
PUBLISHED = """
0,0.0,0.0,0.025559105431309903,0.25026624068157616,0.11182108626198084,-2.278177458033573,-1.03,-1.03
0,4.975124378109452,4.975124378109452,0.01597444089456869,0.27689,0.10862,-2.2709832134292567,-0.86,-0.86
0,9.950248756218905,9.950248756218905,-0.014909478168264113,0.307,0.0926,-2.3669064748201443,-0.42,-0.42
"""


def row(ms: Any, value: float | str = 1.0) -> str:
    return f"0,{ms},{ms},0.1,0.2,0.3,{value},9.8,0.5"


def write(root: Path, rows: list[str], uid: str = UID, folder: str = "v2", video: str = "video_540ss") -> None:
    (root / folder / "imu").mkdir(parents=True, exist_ok=True)
    (root / folder / "imu" / f"{uid}.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    (root / folder / video).mkdir(exist_ok=True)
    (root / folder / video / f"{uid}.mp4").touch()


def metadata(root: Path, **more: Any) -> None:
    videos = [
        {"video_uid": UID, "duration_sec": 10.0, "fb_participant_id": 17, "device": "GoPro", "scenarios": ["Cooking"]},
        {"video_uid": OTHER, "duration_sec": 10.0, "fb_participant_id": None, "video_source": "cmu"},
    ]
    (root / "ego4d.json").write_text(json.dumps({"videos": videos, **more}))


def load(root: Path, name: str = UID, **params: Any) -> Recording:
    return Ego4d(Ego4dParams(str(root), **params)).load(name)


def test_the_published_sample(tmp_path: Path) -> None:
    write(tmp_path, PUBLISHED.split())
    metadata(tmp_path)
    make_video(tmp_path / "v2" / "video_540ss" / f"{UID}.mp4", 1.0)
    recording = load(tmp_path)
    check_recording(recording)
    imu = recording.imu("head")
    np.testing.assert_allclose(imu.times, [0, 0.004975124378109452, 0.009950248756218905], rtol=1e-15)
    # m/s^2 and rad/s already, the gyroscope first in the file.
    acceleration, rotation = imu.values[0, :3], imu.values[0, 3:]
    np.testing.assert_array_equal(acceleration, [-2.278177458033573, -1.03, -1.03])
    np.testing.assert_array_equal(rotation, [0.025559105431309903, 0.25026624068157616, 0.11182108626198084])
    assert (recording.subject, imu.device, recording.metadata["scenarios"]) == ("17", "GoPro", "Cooking")
    assert recording.video("head").frame_times().size == 25


def test_who_is_there(tmp_path: Path) -> None:
    for uid in (UID, OTHER, "unknown_to_the_metadata"):
        write(tmp_path, [row(0), row(5)], uid)
    (tmp_path / "v2" / "video_540ss" / "no_imu.mp4").touch()
    metadata(tmp_path)
    ego = Ego4d(Ego4dParams(str(tmp_path)))
    assert {name: ego.subject_of(name) for name in ego.names()} == {UID: "17", OTHER: "unknown of cmu"}
    assert Ego4d(Ego4dParams(str(tmp_path), ["17"])).names() == [UID]
    with pytest.raises(RecordingError, match="no video or clip 'x'"):
        ego.load("x")


def test_faults_are_counted(tmp_path: Path) -> None:
    rows = [
        "0,1.0,NULL,0,0,0,0,9.8,0",
        "0,1.0,,0,0,0,0,9.8,0",
        row(-5e9),
        *(row(5 * i, i) for i in range(100)),
        row(5 * 99, -1),  # once more
        "0,500,500,0.1,0.2,0.3,,NULL,nan",
        row(9e12),
    ]
    write(tmp_path, rows)
    metadata(tmp_path)
    recording = load(tmp_path)
    imu = recording.imu("head")
    np.testing.assert_allclose(imu.times, np.arange(101) * 0.005)
    np.testing.assert_array_equal(imu.values[:100, 0], np.arange(100))
    assert np.isnan(imu.values[100]).tolist() == [True] * 3 + [False] * 3
    counts = {k: v for k, v in recording.metadata.items() if k.startswith("imu_")}
    assert counts == {
        "imu_rows": 106, "imu_rows_without_time": 2, "imu_rows_outside": 2, "imu_steps_back": 0,
        "imu_rows_ambiguous": 0, "imu_rows_repeated": 1, "imu_rows_in_bad_windows": 0,
    }  # fmt: skip


def test_packets_out_of_order_are_sorted_or_refused(tmp_path: Path) -> None:
    ms = np.arange(0, 3000, 5)
    write(tmp_path, [row(t, t) for part in (ms[:200], ms[400:], ms[200:400]) for t in part.tolist()])
    metadata(tmp_path)
    recording = load(tmp_path)
    np.testing.assert_allclose(recording.imu("head").times, ms / 1000)
    np.testing.assert_array_equal(recording.imu("head").values[:, 0], ms)
    assert recording.metadata["imu_steps_back"] == 1
    with pytest.raises(RecordingError, match=r"0a1b\.csv: its canonical stamps step back 1 times"):
        load(tmp_path, out_of_order="refuse")


def test_samples_of_packets_that_overlap_are_left_out(tmp_path: Path) -> None:
    first, second = np.arange(0, 2000, 5), np.arange(1502, 3000, 5)
    write(tmp_path, [row(t) for t in [*first.tolist(), *second.tolist()]])
    metadata(tmp_path)
    recording = load(tmp_path)
    times = recording.imu("head").times
    assert not ((times > 1.502) & (times < 1.995)).any()
    assert times.size == 301 + 201  # up to 1.5 s, and from 1.997 s
    assert recording.metadata["imu_rows_ambiguous"] == first.size + second.size - times.size


def test_one_wild_stamp_costs_no_more_than_itself() -> None:
    times = np.arange(1000, dtype=np.float64) * 0.005
    wild = times.copy()
    wild[500] = 4.001
    order, counts = sort_packets(wild)
    assert 500 not in order
    assert order.size == 999
    assert counts == {"imu_steps_back": 1, "imu_rows_ambiguous": 1, "imu_rows_repeated": 0}


@given(st.lists(st.integers(0, 60), max_size=40))
def test_whatever_the_stamps_what_is_left_ascends(stamps: Any) -> None:
    times = np.array(stamps, np.float64) / 100
    order, counts = sort_packets(times)
    assert (np.diff(times[order]) > 0).all()
    assert order.size + counts["imu_rows_ambiguous"] + counts["imu_rows_repeated"] == times.size
    if (np.diff(times) > 0).all():
        assert order.tolist() == list(range(times.size))


def test_bad_windows_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, [row(5 * i) for i in range(1000)])
    metadata(tmp_path)
    (tmp_path / "bad.json").write_text(json.dumps([[UID, 1.0, 2.0], ["else", 0.0, 9.0], [UID, 4.5, 20.0]]))
    recording = load(tmp_path, bad_windows=str(tmp_path / "bad.json"))
    times = recording.imu("head").times
    assert ((times < 1) | ((times >= 2) & (times < 4.5))).all()
    assert recording.metadata["imu_rows_in_bad_windows"] == 1000 - times.size == 300
    (tmp_path / "bad.json").write_text('["x"]')
    with pytest.raises(RecordingError, match=r"bad\.json: no list of .video_uid, start, end."):
        load(tmp_path, bad_windows=str(tmp_path / "bad.json"))


def test_clips_have_their_own_time(tmp_path: Path) -> None:
    write(tmp_path, [row(5 * i, i) for i in range(2000)])
    (tmp_path / "v2" / "clips").mkdir()
    (tmp_path / "v2" / "clips" / "c1.mp4").touch()
    clip = {"clip_uid": "c1", "video_uid": UID, "video_start_sec": 4.0, "video_end_sec": 6.0}
    metadata(tmp_path, clips=[clip])
    ego = Ego4d(Ego4dParams(str(tmp_path), videos="clips"))
    assert ego.names() == ["c1"]
    imu = ego.load("c1").imu("head")
    assert imu.times[[0, -1]] == pytest.approx([-1, 3])  # a second around, for filters
    assert imu.values[np.searchsorted(imu.times, -1e-9), 0] == 800
    del clip["video_end_sec"]
    metadata(tmp_path, clips=[clip])
    with pytest.raises(RecordingError, match=r"ego4d\.json: an entry has no 'video_end_sec'"):
        load(tmp_path, "c1", videos="clips")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no Ego4D IMU here"):
        Ego4d(Ego4dParams(str(tmp_path))).names()
    write(tmp_path, [row(0)])
    with pytest.raises(RecordingError, match=r"no ego4d\.json"):
        Ego4d(Ego4dParams(str(tmp_path))).names()
    (tmp_path / "ego4d.json").write_text("[]")
    with pytest.raises(RecordingError, match="not Ego4D's metadata"):
        load(tmp_path)
    metadata(tmp_path)
    with pytest.raises(RecordingError, match=r"0a1b\.csv: 1 usable samples"):
        load(tmp_path)
    with pytest.raises(ValueError, match="no Ego4D videos here; expected full_scale"):
        Ego4d(Ego4dParams(str(tmp_path), videos="full_scale")).names()
    wrong: tuple[dict[str, Any], ...] = ({"videos": "x"}, {"out_of_order": "x"})
    for params in wrong:
        with pytest.raises(ValueError, match="expected one of"):
            Ego4d(Ego4dParams(str(tmp_path), **params))


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([row(0), "0,5,5,x,0,0,0,9.8,0"], r"0a1b\.csv, line 3, column 'gyro_x'.*found 'x'"),
        ([row(0), "0,5,5,0,0"], r"0a1b\.csv, line 3: 5 columns"),
        ([row(0), row(5, "inf")], r"0a1b\.csv, line 3, column 'accl_x': found inf"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, rows: list[str], says: str) -> None:
    write(tmp_path, rows)
    metadata(tmp_path)
    with pytest.raises(RecordingError, match=says):
        load(tmp_path)


def test_another_table_is_refused(tmp_path: Path) -> None:
    write(tmp_path, [])
    metadata(tmp_path)
    (tmp_path / "v2" / "imu" / f"{UID}.csv").write_text("t,ax,ay,az,gx,gy,gz\n0,1,2,3,4,5,6\n")
    with pytest.raises(RecordingError, match=r"line 1: no column 'canonical_timestamp_ms'"):
        load(tmp_path)


cells = st.one_of(
    st.floats(-1e4, 1e4).map(repr), st.integers(-99, 20_000).map(str), st.sampled_from(["", "NULL", "1e999", "-", '"']),
    st.text(max_size=3),
)  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(cells, min_size=9, max_size=9).map(",".join), max_size=8))
@example(["0,0,0,1,1,1,1,1,1", "0,0,0,1,1,1,1,1,1"])
def test_any_rows_are_read_or_refused(tmp_path: Path, rows: list[str]) -> None:
    write(tmp_path, rows)
    metadata(tmp_path)
    try:
        imu = load(tmp_path).imu("head")
    except RecordingError as error:
        message = str(error)
    else:
        message = f"{UID}.csv"
        assert (np.diff(imu.times) > 0).all()
        assert not np.isinf(imu.values).any()
    assert f"{UID}.csv" in message
