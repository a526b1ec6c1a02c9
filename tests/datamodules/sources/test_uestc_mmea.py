"""UESTC-MMEA-CL by its published description."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.made_data import make_video
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datamodules.recording import Interval, RecordingError
from datamodules.sources.uestc_mmea import UestcMmea, UestcMmeaParams, label_of
from datamodules.windows.checks import check_recording


def write(
    root: Path, name: str = "1_upstairs/a", rows: list[str] | None = None, scale: float = 8192, n: int = 50
) -> None:
    rows = [f"{i},0,{scale},164,-164,0" for i in range(n)] if rows is None else rows
    path = root / "sensor" / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    video = root / "video" / f"{name}.mp4"
    video.parent.mkdir(parents=True, exist_ok=True)
    video.touch()


def source(root: Path, **params: Any) -> UestcMmea:
    return UestcMmea(UestcMmeaParams(str(root), **params))


def test_a_clip(tmp_path: Path) -> None:
    write(tmp_path)
    make_video(tmp_path / "video" / "1_upstairs" / "a.mp4", 2.0)
    recording = source(tmp_path).load("1_upstairs/a")
    check_recording(recording)
    imu = recording.imu("head")
    np.testing.assert_allclose(imu.times, np.arange(50) / 25)
    g = 9.80665
    np.testing.assert_allclose(imu.values[10], [10 / 8192 * g, 0, g, np.deg2rad(10), -np.deg2rad(10), 0])
    assert imu.acceleration_range == pytest.approx(4 * g)
    assert imu.angular_velocity_range == pytest.approx(np.deg2rad(1998), rel=1e-3)
    assert recording.activities == (Interval(0.0, 2.0, "upstairs"),)
    # The clip lasts as long as the signal.
    assert recording.video("head").frame_times()[-1] == pytest.approx(imu.times[-1])


@pytest.mark.parametrize(
    ("text", "label"), [("watch_TV", "watch_tv"), ("sit-stand", "sit_stand"), ("wipe table ", "wipe_table")]
)
def test_labels(text: str, label: str) -> None:
    assert label_of(text) == label


def test_lists_and_people(tmp_path: Path) -> None:
    for name in ("10_fall/p2_b", "2_downstairs/p1_a", "2_downstairs/p1 b"):
        write(tmp_path, name)
    (tmp_path / "sensor" / "notes").mkdir()
    (tmp_path / "sensor" / "notes" / "x.csv").touch()
    (tmp_path / "train.txt").write_text(
        "yourdataset_path/data/2_downstairs/p1_a 300 1\nq\\2_downstairs\\p1 b.mp4 9 1\n\n"
    )
    (tmp_path / "test.txt").write_text("10_fall/p2_b 250 9")
    names = source(tmp_path).names()
    assert names == ["2_downstairs/p1 b", "2_downstairs/p1_a", "10_fall/p2_b"]
    assert {source(tmp_path).subject_of(name) for name in names} == {"unknown"}
    assert [source(tmp_path).load(n).metadata["split"] for n in names] == ["train", "train", "test"]
    lists = source(tmp_path, split_as_subject=True, subjects=["test"])
    assert lists.names() == names[2:]
    people = source(tmp_path, subject_pattern=r"/(p\d)")
    assert [people.subject_of(name) for name in names] == ["p1", "p1", "p2"]


def test_settings_and_lists_that_can_not_be(tmp_path: Path) -> None:
    write(tmp_path)
    for params, says in (
        ({"lsb_per_g": 0.0}, "lsb_per_g is 0"),
        ({"subject_pattern": "("}, "no regular expression"),
        ({"subject_pattern": "x"}, "no group"),
        ({"subject_pattern": "(x)", "split_as_subject": True}, "both set"),
    ):
        with pytest.raises(ValueError, match=says):
            source(tmp_path, **params)
    with pytest.raises(ValueError, match="no UESTC-MMEA-CL here"):
        source(tmp_path / "sensor").names()
    with pytest.raises(RecordingError, match=r"a\.csv: in none of train, val, test"):
        source(tmp_path, split_as_subject=True).names()
    with pytest.raises(RecordingError, match=r"a\.csv: subject_pattern '\(x\)' finds no subject"):
        source(tmp_path, subject_pattern="(x)").names()
    for text, says in (("hello", r"val\.txt, line 1: 'hello'"), ("1_upstairs/a 1 0", "is in train.txt as well")):
        (tmp_path / "train.txt").write_text("1_upstairs/a 1 0")
        (tmp_path / "val.txt").write_text(text)
        with pytest.raises(RecordingError, match=says):
            source(tmp_path).load("1_upstairs/a")


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (["0,0,8192,0,0,0", "0,0,x,0,0,0"], r"a\.csv, line 2, column 3 .acceleration z.: found 'x'"),
        (["0,0,8192,0,0,0", "0,0,8192,0,0"], r"a\.csv, line 2: 5 columns"),
        (["0,0,8192,0,0,0", "0,0,8192,0,0,"], r"a\.csv, line 2, column '6' .rotation z.: found nan"),
        (["0,0,8192,0,0,0", "0,0,8192,0,0,40000"], "found 40000.0; expected a reading of 16 bits"),
        (["ax,ay,az,gx,gy,gz", "0,0,8192,0,0,0"], r"a\.csv, line 1, column 1 .acceleration x.: found 'ax'"),
        (["0,0,8192", "0,0,8192"], "line 1: rotation x should be column 4; there are 1 to 3"),
        (["0,0,8192,0,0,0"], "1 samples; expected at least 2"),
        (["0,0,1,0,0,0"] * 2, r"0\.00 g at 8192 per g"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, rows: list[str], says: str) -> None:
    write(tmp_path, rows=rows)
    with pytest.raises(RecordingError, match=says):
        source(tmp_path).load("1_upstairs/a")


def test_the_wrong_scale_is_found_out(tmp_path: Path) -> None:
    write(tmp_path, scale=16384)
    with pytest.raises(RecordingError, match=r"median acceleration is 16384, or 2\.00 g at 8192 per g"):
        source(tmp_path).load("1_upstairs/a")
    values = source(tmp_path, lsb_per_g=16384.0).load("1_upstairs/a").imu("head").values
    assert values[0, 2] == pytest.approx(9.80665)
    write(tmp_path, scale=8192)
    with pytest.raises(RecordingError, match=r"0\.50 g at 16384 per g"):
        source(tmp_path, lsb_per_g=16384.0).load("1_upstairs/a")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "video" / "1_upstairs" / "a.mp4").unlink()
    with pytest.raises(RecordingError, match=r"a\.mp4: not there"):
        source(tmp_path).load("1_upstairs/a")
    with pytest.raises(RecordingError, match=r"b\.csv: not there"):
        source(tmp_path).load("1_upstairs/b")
    with pytest.raises(RecordingError, match="'upstairs/b' is not a clip"):
        source(tmp_path).load("upstairs/b")


cells = st.one_of(
    st.integers(-40_000, 40_000).map(str), st.sampled_from(["8192", "", "nan", "1e999"]), st.text(max_size=3)
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(cells, min_size=6, max_size=6).map(",".join), max_size=6))
def test_any_rows_are_read_or_refused(tmp_path: Path, rows: list[str]) -> None:
    write(tmp_path, rows=rows)
    try:
        values = source(tmp_path).load("1_upstairs/a").imu("head").values
    except RecordingError as error:
        message = str(error)
    else:
        message = "a.csv"
        assert np.isfinite(values).all()
    assert "a.csv" in message
