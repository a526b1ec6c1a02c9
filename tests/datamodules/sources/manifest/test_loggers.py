"""Tables as loggers and spreadsheets leave them: used as far as they are whole, with what was left out named."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datamodules.recording import RecordingError
from datamodules.sources.manifest.labels import read_intervals
from datamodules.sources.manifest.motion import Motion, count_parts, read_motion
from datamodules.sources.manifest.spec import (
    AccelerationSpec,
    CsvSpec,
    ImuSpec,
    LabelsSpec,
    RowsSpec,
    SensorSpec,
    TimeSpec,
)
from datamodules.sources.shared.held import held_rows

SPEC = ImuSpec("x", {"wrist": SensorSpec(AccelerationSpec(["ax", "ay", "az"], "m/s^2"))}, TimeSpec("t", "s"))
RNG = np.random.default_rng(0)
VALUES = RNG.normal((0, 0, 9.8), 1, (200, 3))
HEADER = "t,ax,ay,az"
ROWS = [f"{i / 100:.2f},{x:.4f},{y:.4f},{z:.4f}" for i, (x, y, z) in enumerate(VALUES.tolist())]


def read(folder: Path, lines: list[str], time: TimeSpec | None = None, end: str = "\n", **csv: object) -> Motion:
    path = folder / "table.csv"
    path.write_bytes(("\n".join(lines) + end).encode())
    return read_motion(path, replace(SPEC, time=time or SPEC.time, csv=CsvSpec(**csv)))  # type: ignore[arg-type]


def assert_rows(motion: Motion, kept: list[int] | range) -> None:
    np.testing.assert_allclose(motion.values["wrist"][:, :3], VALUES[list(kept)], atol=6e-5)  # four decimals


@pytest.mark.parametrize(
    "piece", ["2.00", "2.00,", "2.00,0.1", "2.00,0.1000,0.2000", "2.00,0.1,0.2,", "2.00,0.1,0.2,-", "2.00,0.1,0.2,9.8"]
)
def test_a_last_row_that_is_broken_off_is_left_out_and_named(piece: str, tmp_path: Path) -> None:
    motion = read(tmp_path, [HEADER, *ROWS, piece], end="")
    assert_rows(motion, range(200))
    (note,) = motion.notes
    assert "line 202, which is broken off" in note


def test_a_whole_last_row_without_a_line_end_is_kept(tmp_path: Path) -> None:
    motion = read(tmp_path, [HEADER, *ROWS], end="")
    assert_rows(motion, range(200))
    assert motion.notes == ()


@pytest.mark.parametrize("end", ["\n" + "\0" * 4096, "\0" * 100, "\n2.00,0.1" + "\0" * 512])
def test_zero_bytes_at_the_end(end: str, tmp_path: Path) -> None:
    motion = read(tmp_path, [HEADER, *ROWS], end=end)
    assert_rows(motion, range(200))
    assert "zero bytes" in motion.notes[-1]


def test_power_lost_and_the_header_again_right_behind_the_broken_row(tmp_path: Path) -> None:
    lines = [HEADER, *ROWS[:100], "1.00,0.1" + HEADER, *ROWS[:100]]
    with pytest.raises(RecordingError, match=r"line 103: the header is there again.*time\.restarts: parts"):
        read(tmp_path, lines)
    time = replace(SPEC.time, restarts="parts")
    path = tmp_path / "table.csv"
    assert count_parts([path], replace(SPEC, time=time)) == 2
    for part in (1, 2):
        motion = read_motion(path, replace(SPEC, time=time), part=part)
        assert_rows(motion, range(100))
        assert "line 102, which is broken off: '1.00,0.1'" in motion.notes[0]


def test_a_counter_that_begins_anew_is_counted_on(tmp_path: Path) -> None:
    ticks = [(2**32 - 1_000_000 + i * 10_000) % 2**32 for i in range(200)]
    lines = [f"{tick}{row[row.index(',') :]}" for tick, row in zip(ticks, ROWS, strict=True)]
    motion = read(tmp_path, [HEADER, *lines], TimeSpec("t", "us"))
    np.testing.assert_allclose(np.diff(motion.times), 0.01, atol=1e-6)
    assert "32 bits" in motion.notes[0]


@pytest.mark.parametrize(("bits", "step", "unit"), [(16, 1000, "ms"), (24, 250_000, "us"), (32, 2**26 + 7, "ns")])
@pytest.mark.parametrize("signed", [False, True])
def test_a_counter_that_begins_anew_again_and_again(
    bits: int, step: int, unit: str, signed: bool, tmp_path: Path
) -> None:
    half = 2 ** (bits - 1) if signed else 0
    step //= 8
    ticks = [(i * step + half) % 2**bits - half for i in range(2000)]
    rows = [f"{tick},0.1,{i % 7},9.8" for i, tick in enumerate(ticks)]
    motion = read(tmp_path, [HEADER, *rows], TimeSpec("t", unit))
    scale = {"ms": 1e-3, "us": 1e-6, "ns": 1e-9}[unit]
    np.testing.assert_allclose(motion.times, np.arange(2000) * step * scale, atol=1e-6)  # sums of floats
    assert f"after {bits} bits at sample" in motion.notes[0]
    assert "times more" in motion.notes[0]


@pytest.mark.parametrize(
    ("clock", "turn"), [("{:02d}:{:02d}:{:06.3f}", 86400), ("{:d}:{:02d}:{:06.3f}", 43200)]
)  # the second without am and pm
def test_stamps_that_pass_midnight_or_twelve(clock: str, turn: int, tmp_path: Path) -> None:
    begin = turn - 1 if turn == 86400 else turn + 3600 - 1
    lines = []
    for i, row in enumerate(ROWS):
        second = begin + i / 100
        second -= turn * (second >= (turn if turn == 86400 else turn + 3600))
        lines.append(clock.format(int(second // 3600), int(second // 60) % 60, second % 60) + row[row.index(",") :])
    motion = read(tmp_path, [HEADER, *lines], TimeSpec("t", "h:m:s"))
    np.testing.assert_allclose(motion.times, begin + np.arange(200) / 100, atol=1e-6)
    assert len(motion.notes) == 1


@pytest.mark.parametrize(
    ("form", "stamp"),
    [
        ("%d/%m/%Y %H:%M:%S.%f", "04/03/2025 13:00:0{:.3f}"),
        ("%d.%m.%y %H:%M:%S,%f", '"04.03.25 13:00:0{:.3f}"'),
        ("%m/%d/%Y %I:%M:%S.%f %p", "03/04/2025 01:00:0{:.3f} PM"),
    ],
)
def test_dates_by_a_declared_format(form: str, stamp: str, tmp_path: Path) -> None:
    lines = []
    for i, row in enumerate(ROWS):
        text = stamp.format(i / 100)
        lines.append(
            (text.replace(".", ",", 3).replace(",", ".", 2) if ",%f" in form else text) + row[row.index(",") :]
        )
    motion = read(tmp_path, [HEADER, *lines], TimeSpec("t", format=form))
    # 2025-03-04 13:00 UTC; a double near 1.7e9 has steps of 2.4e-7
    np.testing.assert_allclose(motion.times, 1741093200 + np.arange(200) / 100, rtol=0, atol=3e-7)


def test_the_hour_that_is_there_twice(tmp_path: Path) -> None:
    """2024-10-27 03:00 in Berlin is 02:00 once more: 00:59:59 UTC is followed by 01:00:00."""
    seconds = np.arange(200) / 100
    lines = []
    for second, row in zip(seconds, ROWS, strict=True):
        text = f"02:59:{58.99 + second:09.6f}" if second < 1.005 else f"02:00:{second - 1.01:09.6f}"
        lines.append(f"2024-10-27T{text}{row[row.index(',') :]}")
    with pytest.raises(RecordingError, match=r"daylight saving: set time\.zone"):
        read(tmp_path, [HEADER, *lines], TimeSpec("t", "iso8601"))
    motion = read(tmp_path, [HEADER, *lines], TimeSpec("t", "iso8601", zone="Europe/Berlin"))
    np.testing.assert_allclose(motion.times, 1729990798.99 + seconds, rtol=0, atol=3e-7)
    assert "daylight saving" in motion.notes[0]


def test_thousands_comments_and_packed_files(tmp_path: Path) -> None:
    lines = [f'{row[: row.rindex(",")]},"1,{i:03d}.5"' for i, row in enumerate(ROWS)]
    with pytest.raises(RecordingError, match=r"found '1,000\.5'.*csv\.thousands: ','"):
        read(tmp_path, [HEADER, *lines])
    motion = read(tmp_path, ["# by X", HEADER, "# begin", *lines], thousands=",", comment="#")
    np.testing.assert_allclose(motion.values["wrist"][:, 2], 1000.5 + np.arange(200))
    with pytest.raises(RecordingError, match=r"line 4, column 'az'.*found '10,00\.5'"):
        read(tmp_path, [HEADER, *lines[:2], lines[2].replace('"1,002.5"', '"10,00.5"'), *lines[3:]], thousands=",")
    packed = tmp_path / "table.csv.gz"
    packed.write_bytes(gzip.compress("\n".join([HEADER, *ROWS]).encode()))
    assert_rows(read_motion(packed, SPEC), range(200))
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(RecordingError, match=r"csv\.gz: no gzip file that can be unpacked whole"):
        read_motion(packed, SPEC)


@pytest.mark.parametrize(("mine", "other"), [("acc", "ACC"), ("1", "1.0"), ("Acc 1", "acc1")])
def test_rows_whose_name_is_spelled_otherwise_are_not_left_out_without_a_word(
    mine: str, other: str, tmp_path: Path
) -> None:
    rows = [f"{row},{mine if i < 100 else other if i < 150 else 'gyro'}" for i, row in enumerate(ROWS)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join([f"{HEADER},kind", *rows]) + "\n")
    motion = read_motion(path, replace(SPEC, rows=RowsSpec("kind", mine)))
    assert_rows(motion, range(100))
    assert motion.notes == (
        f"rows with '{other}' in column 'kind' are left out: expected '{mine}'; are they of this sensor, too?",
    )


def test_a_workbook(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl", reason="needs the optional package openpyxl")
    book = openpyxl.Workbook()
    book.active.append(HEADER.split(","))
    for row in ROWS:
        book.active.append([float(text) for text in row.split(",")])
    book.save(tmp_path / "table.xlsx")
    assert_rows(read_motion(tmp_path / "table.xlsx", SPEC), range(200))
    book.active.cell(row=5, column=2).value = "ERR"
    book.save(tmp_path / "table.xlsx")
    with pytest.raises(RecordingError, match=r"table\.xlsx, row 5, column 'ax'.*found 'ERR'; expected a number"):
        read_motion(tmp_path / "table.xlsx", SPEC)


def test_a_separator_at_each_rows_end_is_no_column_but_a_value_there_is(tmp_path: Path) -> None:
    assert_rows(read(tmp_path, [HEADER, *(f"{row},\r" for row in ROWS)]), range(200))
    with pytest.raises(RecordingError, match="line 4"):
        read(tmp_path, [HEADER, *(f"{row},{'7' * (i == 2)}" for i, row in enumerate(ROWS))])


@pytest.mark.parametrize("lines", [["s,g,g,g"], ["time,accel,accel,accel", "[s],[g],[g],[g]"]])
def test_lines_of_units_are_named(lines: list[str], tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=rf"csv\.skip_below_header: {len(lines)}"):
        read(tmp_path, [HEADER, *lines, *ROWS])
    assert_rows(read(tmp_path, [HEADER, *lines, *ROWS], skip_below_header=len(lines)), range(200))


def test_lines_above_the_header_are_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"line 4 names them: set csv\.skip_lines: 3"):
        read(tmp_path, ["Logger,3", "Made,now", "Rate,100", HEADER, *ROWS])


@pytest.mark.parametrize(("every", "times"), [(5, 5.0), (2, 2.0)])
def test_held_values_are_told_from_a_coarse_sensor(every: int, times: float) -> None:
    held = np.repeat(RNG.normal(size=(400, 3)), every, axis=0)
    pace, rows = held_rows(held)
    assert pace == pytest.approx(times)
    np.testing.assert_array_equal(rows, np.arange(0, 400 * every, every))
    # 44.1 % of the rows of a coarse sensor at rest are as the one before, at random.
    coarse = np.round(RNG.normal(0, 0.4, (2000, 3)))
    assert held_rows(coarse)[0] == 1.0
    # 50 Hz at 64 Hz: 28 % of the rows are there twice, evenly.
    uneven = RNG.normal(size=(1600, 3))[np.floor(np.arange(2000) * 50 / 64).astype(int)]
    assert held_rows(uneven)[0] == pytest.approx(1.28, abs=0.01)


def test_labels_by_a_format_over_midnight(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("start,end,activity\n11:59:50 PM,12:00:10 AM,walk\n12:00:10 AM,12:00:20 AM,sit\n")
    found = read_intervals(path, LabelsSpec(files="x", unit="s", format="%I:%M:%S %p"))
    assert [(i.start, i.end) for i in found] == [(86390, 86410), (86410, 86420)]
