"""The turning-in-place set by descriptions of its published files."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.made_data import make_video
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datamodules.recording import RecordingError
from datamodules.sources.turning_in_place import TurningInPlace, TurningInPlaceParams
from datamodules.windows.checks import check_recording

HEADER = "\t".join(
    ["Frame #", "Time [s]", "ACC ML [g]", "ACC AP [g]", "ACC SI [g]", "GYR ML [deg/s]", "GYR AP [deg/s]",
     "GYR SI [deg/s]", "Freezing event [flag]"]
)  # fmt: skip


def rows(n: int = 256, rate: float = 128, freezes: Collection[int] = (), g: float = 1.0) -> list[str]:
    return [f"{i + 1}\t{i / rate:.7f}\t0.1\t-0.2\t{g}\t90\t0\t{i}\t{int(i in freezes)}" for i in range(n)]


def write(root: Path, lines: list[str], name: str = "SUB01_1", header: str = HEADER) -> None:
    (root / "IMU").mkdir(parents=True, exist_ok=True)
    (root / "IMU" / f"{name}.txt").write_bytes("\r\n".join([header, *lines]).encode("latin-1", "replace"))


def source(root: Path, **params: Any) -> TurningInPlace:
    return TurningInPlace(TurningInPlaceParams(str(root), **params))


def test_a_trial(tmp_path: Path) -> None:
    write(tmp_path, rows(freezes=range(64, 128)))
    make_video(tmp_path / "Videos" / "Videos" / "PDFE01_1.mp4", 2.0)
    recording = source(tmp_path).load("SUB01_1")
    check_recording(recording)
    imu = recording.imu("shank")
    np.testing.assert_allclose(imu.times, np.arange(256) / 128, atol=1e-7)  # seven decimals in the file
    np.testing.assert_allclose(imu.values[5], [0.980665, -1.96133, 9.80665, np.pi / 2, 0, np.deg2rad(5)])
    assert [(i.start, i.end, i.activity) for i in recording.activities] == [
        (0.0, 0.5, "turning"),
        (0.5, 1.0, "freezing"),
        (1.0, pytest.approx(2.0), "turning"),
    ]
    assert recording.labelled_on == ("shank",)
    assert (recording.subject, recording.population) == ("SUB01", "parkinson")
    assert recording.video("third_person").frame_times().size == 50
    assert "not by one clock" in str(recording.metadata["clocks"])
    assert source(tmp_path, videos=False).load("SUB01_1").videos == ()


def test_standing_and_freezing_throughout(tmp_path: Path) -> None:
    write(tmp_path, rows(n=10), "SUB02_standing")
    write(tmp_path, rows(n=10, freezes=range(10)), "SUB02_3")
    for name, activity in (("SUB02_standing", "standing"), ("SUB02_3", "freezing")):
        recording = source(tmp_path).load(name)
        (interval,) = recording.activities
        assert (interval.start, interval.activity) == (0.0, activity)
        assert interval.end == pytest.approx(10 / 128)
        assert recording.videos == ()
        assert recording.metadata == {}


def test_which_trials(tmp_path: Path) -> None:
    for name in ("SUB10_1", "SUB02_2", "SUB02_1", "SUB02_standing", "readme", "SUB02_long"):
        write(tmp_path, rows(n=2), name)
    (tmp_path / "IMU" / "SUB02_1.csv").write_bytes(b"\xd0\xcf\x11\xe0")  # an Excel file of the same
    assert source(tmp_path).names() == ["SUB02_1", "SUB02_2", "SUB02_standing", "SUB10_1"]
    assert source(tmp_path, standing=False, subjects=["SUB02"]).names() == ["SUB02_1", "SUB02_2"]
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "SUB02_1.txt").touch()
    with pytest.raises(ValueError, match=r"SUB02_1\.txt and .*SUB02_1\.txt are the same trial"):
        source(tmp_path).names()


def test_a_degree_sign_in_the_header(tmp_path: Path) -> None:
    write(tmp_path, rows(n=4), header=HEADER.replace("deg", "\xb0"))
    assert source(tmp_path).load("SUB01_1").imu("shank").times.size == 4


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([*rows(3), "4\t0.0234375\tx\t0\t1\t0\t0\t0\t0"], r"SUB01_1\.txt, line 5, column 3 .acc ml.: found 'x'"),
        ([*rows(3), "4\t0.0234375\t0\t0\t1\t0\t0\t0\t2"], r"SUB01_1\.txt, line 5, flag: found 2.0; expected 0 or 1"),
        ([*rows(3), "4\t0.0234375\t0\t0\t1\t\t0\t0\t0"], r"line 5, gyr ml: found nan"),
        ([*rows(3), "4\t0.0234375"], r"SUB01_1\.txt, line 5: 2 columns"),
        ([*rows(3), *rows(1)], "line 5: time does not increase"),
        (rows(rate=100), r"rate by its times is 100 Hz; expected 128 Hz"),
        (rows(g=9.81), r"median acceleration is 9\.81; expected g"),
        (rows(g=0.0), r"median acceleration is 0\.224"),
        (rows(1), "1 samples; expected at least 2"),
    ],
)
def test_a_bad_file_is_explained(tmp_path: Path, lines: list[str], says: str) -> None:
    write(tmp_path, lines)
    with pytest.raises(RecordingError, match=says):
        source(tmp_path).load("SUB01_1")


@pytest.mark.parametrize("header", ["", HEADER.replace("[g]", "[m/s2]"), HEADER.replace("\t", ","), HEADER + "\tmore"])
def test_another_header_is_refused(tmp_path: Path, header: str) -> None:
    write(tmp_path, rows(4), header=header)
    with pytest.raises(RecordingError, match=r"SUB01_1\.txt, line 1: the header is .*; expected Frame #, Time"):
        source(tmp_path).load("SUB01_1")


def test_what_can_not_be_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no turning-in-place set here"):
        source(tmp_path).names()
    write(tmp_path, rows(4, freezes=[1]), "SUB01_standing")
    with pytest.raises(RecordingError, match="flags of freezing while standing"):
        source(tmp_path).load("SUB01_standing")
    with pytest.raises(RecordingError, match=r"no SUB09_1\.txt below it"):
        source(tmp_path).load("SUB09_1")
    with pytest.raises(RecordingError, match="'PDFE01_1' is not a trial"):
        source(tmp_path).load("PDFE01_1")


cells = st.one_of(
    st.floats(-3, 3).map(repr), st.integers(0, 1).map(str), st.sampled_from(["", "nan", "1e999"]), st.text(max_size=3)
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(cells, min_size=7, max_size=7), max_size=5))
def test_any_rows_are_read_or_refused(tmp_path: Path, table: Any) -> None:
    write(tmp_path, ["\t".join([str(i), str(i / 128), *cells]) for i, cells in enumerate(table)])
    try:
        recording = source(tmp_path).load("SUB01_1")
    except RecordingError as error:
        message = str(error)
    else:
        message = "SUB01_1.txt"
        assert np.isfinite(recording.imus[0].values).all()
    assert "SUB01_1.txt" in message
