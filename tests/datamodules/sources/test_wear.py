"""WEAR by its published description."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.made_data import make_video
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datamodules.recording import Interval, RecordingError
from datamodules.sources.wear import ACTIVITIES, Wear, WearParams
from datamodules.windows.checks import check_recording

LIMBS = ("right_arm", "right_leg", "left_leg", "left_arm")
HEADER = ",".join(["sbj_id", *(f"{limb}_acc_{axis}" for limb in LIMBS for axis in "xyz"), "label"])


def row(values: Iterable[object], label: str = "null", session: object = 0) -> str:
    return ",".join([str(session), *map(str, values), label])


def write(root: Path, rows: list[str], session: int = 0, folder: str = "raw/inertial_50hz") -> None:
    (root / folder).mkdir(parents=True, exist_ok=True)
    text = "\n".join([HEADER, *rows]) + "\n"
    (root / folder / f"sbj_{session}.csv").write_text(text, encoding="utf-8")


def still(label: str = "null", session: int = 0, n: int = 1) -> list[str]:
    return [row([0, 0, 1] * 4, label, session)] * n


def source(root: Path, **params: Any) -> Wear:
    return Wear(WearParams(str(root), **params))


def test_a_session(tmp_path: Path) -> None:
    labels = ["", "null", "jogging (butt-kicks)", "jogging (butt-kicks)", "push-ups", "null", "push-ups"]
    write(tmp_path, [row(np.arange(12) / 10 + i, label) for i, label in enumerate(labels)])
    make_video(tmp_path / "videos" / "sbj_0.MP4", 0.2)
    recording = source(tmp_path).load("sbj_0")
    check_recording(recording)
    placements = [s.placement for s in recording.imus]
    assert placements == ["right_wrist", "right_ankle", "left_ankle", "left_wrist"]
    for i, stream in enumerate(recording.imus):
        np.testing.assert_allclose(stream.times, np.arange(7) / 50)
        np.testing.assert_allclose(stream.values[2, :3], (np.arange(3) / 10 + 0.3 * i + 2) * 9.80665)
        assert np.isnan(stream.values[:, 3:]).all()
    assert recording.activities == (
        Interval(0.04, 0.08, "jogging_butt_kicks"),
        Interval(0.08, 0.1, "push_ups"),
        Interval(0.12, 0.14, "push_ups"),
    )
    assert recording.video("head").frame_times().size == 5


def test_activities() -> None:
    assert len(set(ACTIVITIES.values())) == 18
    assert ACTIVITIES["stretching (lumbar rotation)"] == "stretching_lumbar_rotation"


@pytest.mark.parametrize("folder", ["raw/inertial_50hz", "inertial_50hz", "raw/inertial/50hz", "raw/inertial"])
def test_sessions_and_people(tmp_path: Path, folder: str) -> None:
    for session in (18, 2, 0):
        write(tmp_path, still(session=session, n=2), session, folder)
    wear = source(tmp_path)
    assert wear.names() == ["sbj_0", "sbj_2", "sbj_18"]
    assert [wear.subject_of(name) for name in wear.names()] == ["sbj_0", "sbj_2", "sbj_0"]
    assert source(tmp_path, subjects=["sbj_0"]).names() == ["sbj_0", "sbj_18"]
    recording = wear.load("sbj_18")
    assert (recording.subject, recording.videos) == ("sbj_0", ())


def test_empty_readings_are_lost_samples(tmp_path: Path) -> None:
    write(tmp_path, [*still(n=2), row([0, 0, 1, "", "", "", *[0, 0, 1] * 2])])
    lost = np.isnan(source(tmp_path).load("sbj_0").imu("right_ankle").values[:, :3])
    assert lost.tolist() == [[False] * 3, [False] * 3, [True] * 3]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([*still(), *still(session=3)], r"sbj_0\.csv, line 3, column 'sbj_id': found 3; expected 0"),
        ([*still(), row(["x", 0, 1] * 4)], r"sbj_0\.csv, line 3, column 'right_arm_acc_x'.*found 'x'"),
        ([*still(), row([0, 0, 9.81] * 3 + [0, 0, 98])], "column 'left_arm_acc_z': found 98; expected g"),
        ([*still(), *still("swimming")], r"line 3, column 'label': found 'swimming'; expected one of"),
        ([*still(), "0,1"], r"sbj_0\.csv, line 3: 2 columns"),
        (still(), "1 samples; expected at least 2"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, rows: list[str], says: str) -> None:
    write(tmp_path, rows)
    with pytest.raises(RecordingError, match=says):
        source(tmp_path).load("sbj_0")


def test_what_is_missing_or_there_twice_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no WEAR here"):
        source(tmp_path).names()
    write(tmp_path, still(n=2))
    for name in ("a/sbj_0.mp4", "b/sbj_0.mp4"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    with pytest.raises(RecordingError, match="2 videos are named 'sbj_0'"):
        source(tmp_path).load("sbj_0")
    with pytest.raises(RecordingError, match=r"sbj_7\.csv: not there"):
        source(tmp_path).load("sbj_7")
    with pytest.raises(RecordingError, match="'subject_0' is not a session"):
        source(tmp_path).load("subject_0")


cells = st.one_of(
    st.floats(-20, 20).map(repr), st.integers(-9, 9).map(str), st.sampled_from(["", "null", "NaN", "1e999", "jogging"]),
    st.text(max_size=3),
)  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(cells, min_size=13, max_size=13).map(lambda c: ",".join(["0", *c])), max_size=5))
def test_any_rows_are_read_or_refused(tmp_path: Path, rows: list[str]) -> None:
    write(tmp_path, rows)
    try:
        recording = source(tmp_path).load("sbj_0")
    except RecordingError as error:
        message = str(error)
    else:
        message = "sbj_0.csv"
        assert all(not np.isinf(s.values).any() for s in recording.imus)
        assert {i.activity for i in recording.activities} <= set(ACTIVITIES.values())
    assert "sbj_0.csv" in message
