"""Text tables and workbooks as loggers, spreadsheets and servers leave them."""

from __future__ import annotations

import datetime
import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datamodules.recording import RecordingError
from datamodules.sources.manifest.motion import Motion, read_motion
from datamodules.sources.manifest.spec import AccelerationSpec, CsvSpec, ImuSpec, SensorSpec, TimeSpec

SPEC = ImuSpec("", {"wrist": SensorSpec(AccelerationSpec(["ax", "ay", "az"], "m/s^2"))}, TimeSpec("t", "s"))
HEADER = "t,ax,ay,az"
VALUES = np.array([0.5, 1, 9]) + np.cumsum(np.random.default_rng(0).normal(0, 0.05, (300, 3)), axis=0)
ROWS = [f"{i / 100:.2f}," + ",".join(f"{v:.4f}" for v in row) for i, row in enumerate(VALUES)]


def read(folder: Path, content: str | bytes, name: str = "table.csv", **csv: object) -> Motion:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_motion(path, replace(SPEC, csv=CsvSpec(**csv)))  # type: ignore[arg-type]


def text(*lines: str, end: str = "\n") -> str:
    return "\n".join(lines) + end


def assert_rows(motion: Motion, many: int = 300) -> None:
    np.testing.assert_allclose(motion.values["wrist"][:, :3], VALUES[:many], atol=6e-5)  # four decimals


@pytest.mark.parametrize(
    ("below", "named"),
    [
        (["# end of file", "# 300 samples"], "line 302"),
        (["", "Total samples: 300"], "line 303"),
        (["3.00,0.1,0."], "line 302"),
        (["   "], ""),
    ],
)
def test_lines_behind_the_last_row_are_left_out_and_named(below: list[str], named: str, tmp_path: Path) -> None:
    motion = read(tmp_path, text(HEADER, *ROWS, *below))
    assert_rows(motion)
    assert named in "".join(motion.notes)


def test_a_row_of_another_width_in_the_middle_is_still_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="line 102: 3 columns"):
        read(tmp_path, text(HEADER, *ROWS[:100], "1.00,2,3", *ROWS[100:]))


@pytest.mark.parametrize("zeros", [2, 5, 600])
def test_zero_bytes_in_the_middle(zeros: int, tmp_path: Path) -> None:
    motion = read(tmp_path, text(HEADER, *ROWS[:100]) + "\0" * zeros + text(*ROWS[100:]))
    kept = np.delete(np.arange(300), 100)
    np.testing.assert_allclose(motion.values["wrist"][:, :3], VALUES[kept], atol=6e-5)
    assert "line 102, which has zero bytes in it" in motion.notes[0]
    assert f"{zeros} zero bytes" in motion.notes[1]


def test_a_last_number_that_lacks_digits_though_decimals_vary(tmp_path: Path) -> None:
    """A whole number cut to its first digit is valid text, and far from the one before."""
    counts = np.round(VALUES * 1000).astype(int)
    rows = [f"{i / 100:.4g}," + ",".join(map(str, row)) for i, row in enumerate(counts)]
    whole = read(tmp_path, text(HEADER, *rows, end=""))
    assert whole.times.size == 300
    cut = read(tmp_path, text(HEADER, *rows, end="")[:-2])
    assert cut.times.size == 299
    assert "line 301, which is broken off" in cut.notes[0]


@pytest.mark.parametrize("more", [",", ",,,"])
def test_separators_at_each_rows_end_are_no_columns(more: str, tmp_path: Path) -> None:
    assert_rows(read(tmp_path, text(HEADER, *[row + more for row in ROWS])))
    with pytest.raises(RecordingError, match=r"line 52.*the last of them '7'"):
        read(tmp_path, text(HEADER, *[row + more + "7" * (i == 50) for i, row in enumerate(ROWS)]))


def test_numbers_where_names_are_expected(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text(*ROWS))
    sensors = {"wrist": SensorSpec(AccelerationSpec([2, 3, 4], "m/s^2"))}
    spec = replace(SPEC, sensors=sensors, time=TimeSpec(1, "s"))
    with pytest.raises(RecordingError, match=r"set csv\.header: false"):
        read_motion(path, spec)
    assert_rows(read_motion(path, replace(spec, csv=CsvSpec(header=False))))


def test_names_in_quotes_behind_spaces(tmp_path: Path) -> None:
    assert_rows(read(tmp_path, text('"t", "ax" , "ay" ,az', *ROWS)))


def test_thousands_that_read_as_decimals(tmp_path: Path) -> None:
    """1.225 beside 950 is no number of a sensor, but a count of 1225."""
    counts = np.round((VALUES + np.array([1, 0, 0])) * 700).astype(int)
    rows = [f"{i / 100:.2f}".replace(".", ",") + "".join(f";{v:,}".replace(",", ".") for v in row)
            for i, row in enumerate(counts)]  # fmt: skip
    header = HEADER.replace(",", ";")
    plain = [f"{i};" + row.split(";", 1)[1] for i, row in enumerate(rows)]
    with pytest.raises(RecordingError, match=r"set csv\.thousands: '\.' and csv\.decimal: ','"):
        read(tmp_path, text(header, *plain), separator=";")
    with pytest.raises(RecordingError, match=r"set csv\.thousands: '\.' if that separates thousands"):
        read(tmp_path, text(header, *rows), separator=";", decimal=",")
    motion = read(tmp_path, text(header, *rows), separator=";", decimal=",", thousands=".")
    np.testing.assert_array_equal(motion.values["wrist"][:, :3], counts)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (gzip.compress(text(HEADER, *ROWS).encode(), mtime=0), "let its name end with .gz"),
        (b"PK\x03\x04" + b"abc" * 100, "Excel workbook"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", "git lfs pull"),
        (text(HEADER, *ROWS).encode("utf-16"), "csv.encoding: utf-16"),
        (text(HEADER, *ROWS).encode("utf-16-le"), "csv.encoding: utf-16-le"),
        (b"\0" * 4096, "nothing but zero bytes"),
    ],
)
def test_what_a_file_really_is(content: bytes, says: str, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=says):
        read(tmp_path, content)


@pytest.mark.parametrize("null", ["ERR", "#N/A", "-1.#IND", "inf"])
def test_the_setting_for_what_stands_for_none_is_named(null: str, tmp_path: Path) -> None:
    rows = [*ROWS]
    rows[50] = f"0.50,{null},1,1"
    with pytest.raises(RecordingError, match=r"csv\.null"):
        read(tmp_path, text(HEADER, *rows))
    motion = read(tmp_path, text(HEADER, *rows), null=["", null])
    assert np.flatnonzero(np.isnan(motion.values["wrist"][:, 0])).tolist() == [50]


def test_the_separator_that_would_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"set csv\.separator: ';'"):
        read(tmp_path, text(*[line.replace(",", ";") for line in (HEADER, *ROWS)]))


def workbook(path: Path, *sheets: list[list[object]]) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for i, rows in enumerate(sheets):
        sheet = book.active if i == 0 else book.create_sheet(f"more{i}")
        for row in rows:
            sheet.append(row)
    book.save(path)


def cells(times: list[object]) -> list[list[object]]:
    return [[*HEADER.split(",")], *([time, *map(float, row)] for time, row in zip(times, VALUES, strict=True))]


def test_sheets_dates_and_formulas_of_a_workbook(tmp_path: Path) -> None:
    path = tmp_path / "table.xlsx"
    seconds: list[object] = [i / 100 for i in range(300)]
    first: list[list[object]] = [["subject", "P1"]]
    workbook(path, first, cells(seconds))
    assert_rows(read_motion(path, SPEC))
    workbook(path, cells(seconds), cells(seconds))
    assert "sheet 'more1'" in read_motion(path, SPEC).notes[0]
    above: list[object] = ["time", "acceleration"]
    workbook(path, [above, *cells(seconds)])
    with pytest.raises(RecordingError, match=r"set csv\.skip_lines: 1"):
        read_motion(path, SPEC)
    workbook(path, cells(["=ROW()/100"] * 300))
    with pytest.raises(RecordingError, match=r"formula '=ROW.*open the workbook"):
        read_motion(path, SPEC)
    begin = datetime.datetime(2025, 3, 4, 12)
    workbook(path, cells([begin + datetime.timedelta(milliseconds=10 * i) for i in range(300)]))
    with pytest.raises(RecordingError, match="set the unit to iso8601"):
        read_motion(path, SPEC)
    for time in (TimeSpec("t", "iso8601"), TimeSpec("t", format="%d/%m/%Y %H:%M:%S.%f")):
        motion = read_motion(path, replace(SPEC, time=time))
        np.testing.assert_allclose(np.diff(motion.times), 0.01, atol=1e-3)  # Excel keeps milliseconds
    workbook(path, [[*map(str, row)] for row in cells(seconds)])
    assert_rows(read_motion(path, SPEC))


@pytest.mark.parametrize("shown", ["%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S"])
def test_what_a_cell_holds_counts_and_not_the_digits_that_are_declared(shown: str, tmp_path: Path) -> None:
    path = tmp_path / "table.xlsx"
    begin = datetime.datetime(2025, 3, 4, 12, 0, 30, 250_000)
    workbook(path, cells([begin + datetime.timedelta(milliseconds=10 * i) for i in range(300)]))
    motion = read_motion(path, replace(SPEC, time=TimeSpec("t", format=shown, zone="Europe/Berlin")))
    np.testing.assert_allclose(np.diff(motion.times), 0.01, atol=1e-3)  # Excel keeps milliseconds
    right = datetime.datetime(2025, 3, 4, 11, 0, 30, 250_000, datetime.timezone.utc).timestamp()
    assert motion.times[0] == pytest.approx(right, abs=1e-3)
    assert motion.notes == ()


@pytest.mark.parametrize("time", [TimeSpec("t", "h:m:s"), TimeSpec("t", format="%H:%M")])
def test_cells_of_times_of_day_and_of_lengths_of_time(time: TimeSpec, tmp_path: Path) -> None:
    path = tmp_path / "table.xlsx"
    begin = datetime.datetime(2025, 3, 4, 12, 0, 30)
    stamps = [begin + datetime.timedelta(milliseconds=10 * i) for i in range(300)]
    midnight = datetime.datetime(2025, 3, 3)  # so that the last ones are longer than a day
    for written in ([s.time() for s in stamps], [s - midnight for s in stamps]):
        workbook(path, cells(list(written)))
        motion = read_motion(path, replace(SPEC, time=time))
        day = 86400 * isinstance(written[0], datetime.timedelta)
        np.testing.assert_allclose(motion.times, day + 43230 + np.arange(300) / 100, atol=1e-3)  # Excel's milliseconds
    with pytest.raises(RecordingError, match="set the unit to h:m:s"):
        read_motion(path, SPEC)


WIDE = ["utf-16", "utf-16-le", "utf-16-be", "utf-32"]


@pytest.mark.parametrize("encoding", WIDE)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_wide_text_that_is_cut_or_ends_with_zeros(encoding: str, end: str, tmp_path: Path) -> None:
    whole = end.join([HEADER, *ROWS, ""]).encode(encoding)
    assert_rows(read(tmp_path, whole, encoding=encoding))
    assert_rows(read(tmp_path, gzip.compress(whole), "table.csv.gz", encoding=encoding))
    zeros = read(tmp_path, whole + bytes(4096), encoding=encoding)
    assert_rows(zeros)
    assert zeros.notes == ("left out: 4096 zero bytes, as a loss of power leaves them",)
    for cut in (25, 26, 27, 28):  # within the last row, also within a character
        motion = read(tmp_path, whole[:-cut], encoding=encoding)
        np.testing.assert_allclose(motion.values["wrist"][:, :3], VALUES[:299], atol=6e-5)
        assert "line 301, which is broken off" in motion.notes[0]


@pytest.mark.parametrize("encoding", WIDE[:3])
@pytest.mark.parametrize("byte", range(40))
def test_a_byte_that_utf_16_lost_costs_its_row_alone(encoding: str, byte: int, tmp_path: Path) -> None:
    whole = text(HEADER, *ROWS).encode(encoding)
    at = len(whole) // 2 + byte
    for damaged in (whole[:at] + whole[at + 1 :], whole[:at] + b"7" + whole[at:]):
        motion = read(tmp_path, damaged, encoding=encoding)
        kept = np.round(motion.times * 100).astype(int)
        assert 297 <= kept.size < 300
        np.testing.assert_allclose(motion.values["wrist"][:, :3], VALUES[kept], atol=6e-5)
        assert "is a byte too short or too long" in motion.notes[0]


def test_a_restart_and_other_text_in_utf_16(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"line 303: the header is there again"):
        read(tmp_path, text(HEADER, *ROWS, HEADER, *ROWS).encode("utf-16"), encoding="utf-16")
    with pytest.raises(RecordingError, match="not utf-16: no character at its beginning takes 2 bytes"):
        read(tmp_path, text(HEADER, *ROWS), encoding="utf-16")
    with pytest.raises(RecordingError, match=r"line 52, column 'ax'.*found 'ERR'"):
        read(tmp_path, text(HEADER, *ROWS[:50], "0.50,ERR,1,9", *ROWS[51:]).encode("utf-16"), encoding="utf-16")


def test_numbers_as_text_in_a_workbook_are_read_by_the_signs_that_are_declared(tmp_path: Path) -> None:
    path = tmp_path / "table.xlsx"
    counts = [round(1000 * value) for value in np.linspace(0.9, 1.2, 300)]
    texts = [f"{count:,}".replace(",", ".") for count in counts]
    workbook(path, [[*HEADER.split(",")], *([i / 100, text, "0,5", "1.002,25"] for i, text in enumerate(texts))])
    spec = replace(SPEC, csv=CsvSpec(decimal=",", thousands=".", separator=";"))
    values = read_motion(path, spec).values["wrist"]
    assert values[:, 0].tolist() == counts
    assert values[0, 1:3].tolist() == [0.5, 1002.25]
    workbook(path, [[*HEADER.split(",")], *([i / 100, text, 0, 9] for i, text in enumerate(texts))])
    with pytest.raises(RecordingError, match=r"column 'ax'.*found '1\.\d+'; expected a number"):
        read_motion(path, replace(SPEC, csv=CsvSpec(decimal=",", separator=";")))
