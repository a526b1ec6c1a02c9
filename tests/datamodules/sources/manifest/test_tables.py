"""Columns of CSV, TSV, Parquet and NPY files, and what is said of those that aren't as declared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from datamodules.recording import RecordingError
from datamodules.signal import DEGREE, G
from datamodules.sources.manifest.labels import intervals_of_samples, read_intervals
from datamodules.sources.manifest.motion import Motion, read_motion
from datamodules.sources.manifest.spec import (
    AccelerationSpec,
    CsvSpec,
    GyroscopeSpec,
    ImuSpec,
    LabelsSpec,
    SensorSpec,
    TimeSpec,
)

SENSOR = SensorSpec(AccelerationSpec(["ax", "ay", "az"], "g"))
SPEC = ImuSpec("x", {"wrist": SENSOR}, TimeSpec("t", "s"))
GOOD = "t,ax,ay,az\n0,0,0,1\n0.01,0,NULL,1\n0.02,0.5,0, 1\n"
EXPECTED = G * np.array([[0, 0, 1], [0, np.nan, 1], [0.5, 0, 1]])


def read(tmp_path: Path, content: str | bytes, spec: ImuSpec = SPEC, **csv: object) -> Motion:
    path = tmp_path / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_motion(path, replace(spec, csv=CsvSpec(**csv)))  # type: ignore[arg-type]


def assert_good(motion: Motion) -> None:
    np.testing.assert_allclose(motion.times, [0, 0.01, 0.02], rtol=1e-12)  # a unit's scale rounds the last bit
    np.testing.assert_allclose(motion.values["wrist"][:, :3], EXPECTED, rtol=1e-12)
    assert np.isnan(motion.values["wrist"][:, 3:]).all()  # there is no gyroscope


@pytest.mark.parametrize(
    ("content", "csv"),
    [
        (GOOD, {}),
        (GOOD.replace("\n", "\r\n"), {}),
        (GOOD.replace("\n", "\r"), {}),
        ("\n\n" + GOOD.replace("\n", "\n\n"), {}),
        (GOOD.rstrip("\n"), {}),
        (GOOD.encode("utf-8-sig"), {}),
        (GOOD.encode("utf-16"), {"encoding": "utf-16"}),
        (GOOD.replace(",", ";").replace(".", ","), {"separator": ";", "decimal": ","}),
        (GOOD.replace(",", "\t"), {"separator": "\t"}),
        ("made by X\nrate,100\n" + GOOD.replace("\n", "\ns,g,g,g\n", 1), {"skip_lines": 2, "skip_below_header": 1}),
        (GOOD.replace("NULL", "-9999"), {"null": ["-9999"]}),
        (GOOD.replace("NULL", "nan"), {}),
        ('"t","ax",ay,az,"remark, if any"\n' + GOOD.split("\n", 1)[1].replace("1\n", '1,"a, b"\n'), {}),
    ],
)
def test_the_same_table_in_many_writings(tmp_path: Path, content: str | bytes, csv: dict[str, Any]) -> None:
    assert_good(read(tmp_path, content, **csv))


def test_columns_by_number_and_no_header(tmp_path: Path) -> None:
    numbered = replace(SPEC, sensors={"wrist": SensorSpec(AccelerationSpec([2, 3, 4], "g"))}, time=TimeSpec(1, "s"))
    assert_good(read(tmp_path, GOOD.split("\n", 1)[1], numbered, header=False))
    assert_good(read(tmp_path, GOOD, numbered))
    with pytest.raises(RecordingError, match="time should be column 't', but its columns have no names"):
        read(tmp_path, GOOD, header=False)
    with pytest.raises(RecordingError, match=r"line 1: acceleration z at wrist should be column 4; there are 1 to 3"):
        read(tmp_path, "0,0,0\n", numbered, header=False)


def test_all_formats_hold_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(50, 7)), columns=["t", "ax", "ay", "az", "gx", "gy", "gz"])
    table["t"] = np.arange(50) * 10.0
    both = SensorSpec(SENSOR.acceleration, GyroscopeSpec(["gx", "gy", "gz"], "deg/s"))
    spec = ImuSpec("x", {"wrist": both}, TimeSpec("t", "ms"))
    by_number = SensorSpec(AccelerationSpec([2, 3, 4], "g"), GyroscopeSpec([5, 6, 7], "deg/s"))
    table.to_csv(tmp_path / "a.csv", index=False)
    table.to_csv(tmp_path / "a.tsv", index=False, sep="\t")
    table.to_parquet(tmp_path / "a.parquet")
    np.save(tmp_path / "a.npy", table.to_numpy())
    np.save(tmp_path / "named.npy", table.to_records(index=False))
    expected = table.to_numpy()[:, 1:] * np.repeat([G, DEGREE], 3)
    for name in ("a.csv", "a.tsv", "a.parquet", "a.npy", "named.npy"):
        numbered = replace(spec, sensors={"wrist": by_number}, time=TimeSpec(1, "ms"))
        motion = read_motion(tmp_path / name, numbered if name == "a.npy" else spec)
        np.testing.assert_allclose(motion.times, np.arange(50) / 100, rtol=1e-12)
        np.testing.assert_allclose(motion.values["wrist"], expected, rtol=1e-12)
    rated = replace(spec, sensors={"wrist": by_number}, time=TimeSpec(rate_hz=50.0))
    np.testing.assert_allclose(read_motion(tmp_path / "a.npy", rated).times, np.arange(50) / 50)
    with pytest.raises(RecordingError, match=r"a\.npy: time should be column 't', but its columns have no names"):
        read_motion(tmp_path / "a.npy", spec)


@pytest.mark.parametrize(
    ("unit", "per_g", "stored"),
    [("m/s^2", 0.0, G), ("g", 0.0, 1.0), ("mg", 0.0, 1000.0), ("lsb", 8192.0, 8192.0)],
)
def test_one_g_in_every_unit(tmp_path: Path, unit: str, per_g: float, stored: float) -> None:
    sensor = SensorSpec(
        AccelerationSpec([1, 2, 3], unit, per_g, range=2 * stored),
        GyroscopeSpec([4, 5, 6], "lsb", per_deg_s=16.4, range=32800),
    )
    rows = f"0,0,{stored!r},0,0,1640\n" * 5
    spec = ImuSpec("x", {"wrist": sensor}, TimeSpec(rate_hz=25.0))
    motion = read(tmp_path, rows, spec, header=False)
    np.testing.assert_allclose(motion.values["wrist"][0], [0, 0, G, 0, 0, 100 * DEGREE], rtol=1e-12)
    (stream,) = motion.streams(spec, Path("x"), zero=0.0)
    assert stream.acceleration_range == pytest.approx(2 * G)
    assert stream.angular_velocity_range == pytest.approx(2000 * DEGREE)


@pytest.mark.parametrize(
    ("unit", "stamps"),
    [
        ("s", ["1.5", "1.51", "1.52"]),
        ("ms", ["1500", "1510", "1520"]),
        ("us", ["1500000", "1510000", "1520000"]),
        ("ns", ["1500000000", "1510000000", "1520000000"]),
        ("iso8601", ["1970-01-01T00:00:01.5", "1970-01-01T00:00:01.51Z", "1970-01-01 01:00:01.520+01:00"]),
        ("h:m:s", ["00:00:01.5", "0:00:01,51", "00:01.52"]),
    ],
)
def test_one_time_in_every_unit(tmp_path: Path, unit: str, stamps: list[str]) -> None:
    text = "t;ax;ay;az\n" + "".join(f"{stamp};0;0;1\n" for stamp in stamps)
    motion = read(tmp_path, text, replace(SPEC, time=TimeSpec("t", unit)), separator=";")
    np.testing.assert_allclose(motion.times, [1.5, 1.51, 1.52], rtol=1e-12)
    with pytest.raises(RecordingError, match=r"table\.csv, line 5"):
        read(tmp_path, text + "soon;0;0;1\n", replace(SPEC, time=TimeSpec("t", unit)), separator=";")


def test_dates_of_a_parquet_column(tmp_path: Path) -> None:
    times = pd.date_range("2024-05-01T10:00:00", periods=20, freq="10ms", tz="Europe/Paris")
    pd.DataFrame({"t": times, "ax": 0.0, "ay": 0.0, "az": 1.0}).to_parquet(tmp_path / "a.parquet")
    motion = read_motion(tmp_path / "a.parquet", replace(SPEC, time=TimeSpec("t", "iso8601")))
    # 2024-05-01 08:00 UTC; a double near 1.7e9 has steps of 2.4e-7
    np.testing.assert_allclose(motion.times, 1714550400 + np.arange(20) / 100, rtol=0, atol=3e-7)
    with pytest.raises(RecordingError, match=r"column 't' \(time\): it holds timestamp.*declare the unit iso8601"):
        read_motion(tmp_path / "a.parquet", SPEC)


def test_repeated_stamps_can_be_dropped_and_are_counted(tmp_path: Path) -> None:
    text = GOOD + "0.02,7,7,7\n0.03,0,0,1\n"
    motion = read(tmp_path, text, replace(SPEC, time=TimeSpec("t", "s", repeated="first")))
    assert motion.repeated.tolist() == [0.02]
    np.testing.assert_allclose(motion.times, [0, 0.01, 0.02, 0.03])
    assert motion.values["wrist"][2, 0] == 0.5 * G  # the first of both


BAD = {
    "": "there is nothing in it",
    "t,ax,ay,az\n": "no row of data|0 samples",
    GOOD.replace("0.5", "x"): r"line 4, column 'ax' \(acceleration x at wrist\): found 'x'; expected a number",
    GOOD.replace("0.5", "1_0"): "line 4, column 'ax'.*'1_0'",
    GOOD + '0.03,"1,5",1,1\n': r"line 5.*found '1,5'; expected a number with '\.' before its decimals",
    GOOD + "0.03,1\n": "line 5: 2 columns in '0.03,1'; the first line has 4",
    GOOD + "0.03,1,1,1,1\n": "line 5: 5 columns",
    GOOD + "   \n": "line 5: 1 columns",
    GOOD + "0.03,\0,1,1\n": "line 5",
    GOOD + '0.03,"1,1,1\n0.04,1,1,1\n': "line 5: 2 columns",
    GOOD + '0.03,1,1,"': "line 5: the file ends within quotes that are opened there; was it cut off",
    GOOD + "0.02,1,1,1\n": r"line 5, column 't' \(time\): 0.02 s is there twice.*time.repeated: first",
    GOOD + "0.01,1,1,1\n": "line 5.*0.01 s follows 0.02 s",
    GOOD + ",1,1,1\n": r"line 5, column 't' \(time\): found nothing; expected a time in every row",
    GOOD + "0.03,inf,1,1\n": "line 5, column 'ax'.*found inf; expected a finite number",
    GOOD + "0.03,1e308,1,1\n": r"line 5, column 'ax'.*found 1e\+308",
    GOOD + "1e9,0,0,1\n": "line 5: 11574.1 days after the sample before",
    "t,ax,ay,az\n0,0,0,1\n10,0,0,1\n20,0,0,1\n": r"in s the sensor measured at 0\.1 Hz.*look like ms, declared is s",
    "t,ax,ay,az\n0,0,0,1\n1e-5,0,0,1\n2e-5,0,0,1\n": r"at 1e\+05 Hz; expected 20 to 1000 Hz",
    "t,acc_x,ay,az\n0,0,0,1\n": r"line 1: no column 'ax' \(acceleration x at wrist\).*there are: t, acc_x, ay, az",
    "t,ax,ax,ay,az\n0,0,0,0,1\n": "2 columns are named 'ax'",
    GOOD.replace(",", ";"): "line 1: one column, 't;ax;ay;az', when ',' separates columns.*is the separator right",
}


@pytest.mark.parametrize(("content", "says"), list(BAD.items()))
def test_what_is_wrong_is_named(tmp_path: Path, content: str, says: str) -> None:
    with pytest.raises(RecordingError, match=says) as caught:
        read(tmp_path, content)
    assert str(caught.value).startswith(str(tmp_path / "table.csv"))


def test_a_wrong_encoding_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"line 5: byte 0xe4 at its position 6 is not utf-8.*cp1252"):
        read(tmp_path, GOOD.encode() + b"0.03,\xe4,1,1\n")
    with pytest.raises(RecordingError, match=r"line 1: byte 0xe4"):
        read(tmp_path, GOOD.encode().replace(b"ax", b"\xe4x"))
    with pytest.raises(RecordingError, match="not utf-16"):
        read(tmp_path, GOOD.encode() + b"0", encoding="utf-16")


@pytest.mark.parametrize("name", ["a.parquet", "a.npy", "a.csv", "a.xyz"])
def test_files_that_are_missing_empty_or_of_another_kind(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with pytest.raises(RecordingError, match=r"not there|says nothing about its format"):
        read_motion(path, SPEC)
    for content in (b"", b"\x93NUMPY\x01\x00v\x00{'descr'", b"PAR1 and no more", bytes(range(256)) * 9):
        path.write_bytes(content)
        with pytest.raises(RecordingError, match=name):
            read_motion(path, SPEC)


def test_arrays_of_another_shape_or_kind(tmp_path: Path) -> None:
    numbered = replace(SPEC, sensors={"wrist": SensorSpec(AccelerationSpec([2, 3, 4], "g"))}, time=TimeSpec(1, "s"))
    for array, says in (
        (np.zeros(4), r"shape \(4,\); expected \(N, columns\)"),
        (np.zeros((5, 3)), "should be column 4; there are 1 to 3"),
        (np.full((5, 4), "x"), "it holds <U1; expected numbers"),
    ):
        np.save(tmp_path / "a.npy", array)
        with pytest.raises(RecordingError, match=says):
            read_motion(tmp_path / "a.npy", numbered)
    np.save(tmp_path / "a.npy", np.array([{}, None]), allow_pickle=True)
    with pytest.raises(RecordingError, match="no NPY file that can be read"):
        read_motion(tmp_path / "a.npy", numbered)
    pd.DataFrame({"t": ["a", "b"], "ax": 0.0, "ay": 0.0, "az": 1.0}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(RecordingError, match=r"column 't' \(time\): it holds .*string; expected numbers"):
        read_motion(tmp_path / "a.parquet", SPEC)


def test_a_label_a_sample_becomes_intervals() -> None:
    times = np.array([0.0, 0.1, 0.2, 0.3, 5.0, 5.1, 5.2])
    codes = np.array([0, 0, 1, 1, 1, -1, 0], np.int32)
    labels = LabelsSpec(column="a", names={"1": "walk", "2": "sit"}, unlabelled=["0"])
    found = intervals_of_samples(times, codes, ["1", "2"], labels, Path("x"))
    # By hand: each run ends where the next sample is, or (at the gap, and at the end) would be after 0.1 s.
    assert [i.start for i in found] == [0.0, 0.2, 5.0, 5.2]
    assert [i.end for i in found] == pytest.approx([0.2, 0.4, 5.1, 5.3])
    assert [i.activity for i in found] == ["walk", "sit", "sit", "walk"]
    nothing = intervals_of_samples(times, codes, ["0", "2"], labels, Path("x"))
    assert [i.activity for i in nothing] == ["sit", "sit"]
    with pytest.raises(RecordingError, match="row 3: the activity is '3'; expected one of 1, 2, 0"):
        intervals_of_samples(times, codes, ["1", "3"], labels, Path("x"))


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("2,1,walk", "line 3: from 2.0 to 1.0 s; expected an end after the start"),
        ("2,,walk", "line 3: from 2.0 to nan s"),
        ("2,3,", "line 3: no activity"),
        ("2,x,walk", "line 3, column 'end'.*found 'x'"),
        ("2,3,wlak", "line 3: the activity is 'wlak'; did you mean 'walk'"),
    ],
)
def test_a_bad_interval_is_named(tmp_path: Path, row: str, says: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("start,end,activity\n0,2,walk\n")
    spec = LabelsSpec(files="x", names={"walk": "walking"})
    assert [(i.start, i.end, i.activity) for i in read_intervals(path, spec)] == [(0, 2, "walking")]
    path.write_text(f"start,end,activity\n0,2,walk\n{row}\n")
    with pytest.raises(RecordingError, match=says):
        read_intervals(path, spec)
