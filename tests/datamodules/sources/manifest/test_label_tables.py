"""Tables of labels as people write them: each row counts, for the person, the day and the activity that it means."""

from __future__ import annotations

import datetime
import gzip
import zoneinfo
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from helpers.made_tables import turning

from datamodules.recording import ImuStream, Interval, Recording, RecordingError
from datamodules.sources.manifest import Manifest, ManifestParams
from datamodules.sources.manifest.label_days import on_day_of
from datamodules.sources.manifest.labels import LabelFacts, read_intervals
from datamodules.sources.manifest.spec import CsvSpec, LabelsSpec, TimeSpec

TIMES, VALUES = turning(600)


def clock(seconds: float) -> str:
    """A time of day."""
    return f"{int(seconds // 3600) % 24:02d}:{int(seconds % 3600 // 60):02d}:{seconds % 60:06.3f}"


def study(
    folder: Path,
    table: str,
    people: tuple[str, ...] = ("P1",),
    begin: float = 0.0,
    every: float = 0.01,
    **labels: object,
) -> Manifest:
    """Each person's samples, ``every`` seconds, with stamps h:m:s from ``begin`` on, and one table of labels."""
    for person in people:
        stamps = begin + np.arange(TIMES.size) * every
        rows = [f"{clock(t)},{x:.4f},{y:.4f},{z:.4f}" for t, (x, y, z) in zip(stamps, VALUES[:, :3], strict=True)]
        (folder / f"{person}_1.csv").write_text("\n".join(["t,ax,ay,az", *rows]) + "\n")
    (folder / "labels.csv").write_text(table)
    imu = {
        "files": "{subject}_{session:digits}.csv",
        "time": {"column": "t", "unit": "h:m:s"},
        "sensors": {"wrist": {"acceleration": {"columns": ["ax", "ay", "az"], "unit": "m/s^2"}}},
    }
    group = {
        "zero": "first_sample",
        "imu": [imu],
        "labels": {"files": "labels.csv", **({} if "format" in labels else {"unit": "s"}), **labels},
    }
    (folder / "m.yaml").write_text(yaml.safe_dump({"groups": {"g": group}}))
    return Manifest(ManifestParams(str(folder / "m.yaml")))


def said(recording: Recording) -> list[tuple[float, float, str]]:
    return [(round(i.start, 3), round(i.end, 3), i.activity) for i in recording.activities]


def workbook(path: Path, rows: list[list[object]]) -> None:
    openpyxl = pytest.importorskip("openpyxl", reason="needs the optional package openpyxl")
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)


BY_NUMBER = LabelsSpec(files="x", start=1, end=2, activity=3, clock="imu")


@pytest.mark.parametrize(
    ("row", "how"),
    [
        ("2,12,walking", {"unit": "s"}),
        ("2024-03-05 10:00,2024-03-05 10:01,walking", {"unit": "iso8601"}),
        ("10:00:00,10:01:00,walking", {"unit": "h:m:s"}),
        ("05.03.2024 10:00,05.03.2024 10:01,walking", {"format": "%d.%m.%Y %H:%M"}),
    ],
)
def test_a_first_row_is_not_lost_as_a_header(row: str, how: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "P1.csv"
    path.write_text(f"{row}\n{row.replace('walking', 'sitting')}\n")
    spec = LabelsSpec(**{**vars(BY_NUMBER), **how})
    with pytest.raises(RecordingError, match=r"P1\.csv, line 1: '\S+.*' \(start\) where the columns' names.*be lost"):
        read_intervals(path, spec)
    found = read_intervals(path, LabelsSpec(**{**vars(spec), "csv": CsvSpec(header=False)}))
    assert [i.activity for i in found] == ["walking", "sitting"]
    path.write_text(f"from,to,what\n{row}\n")
    assert [i.activity for i in read_intervals(path, spec)] == ["walking"]


def test_a_first_row_of_a_sheet_is_not_lost_as_a_header(tmp_path: Path) -> None:
    path = tmp_path / "P1.xlsx"
    workbook(path, [[2, 12, "walking"], [15, 30.5, "sitting"]])
    with pytest.raises(RecordingError, match=r"P1\.xlsx, row 1: '2' \(start\) where the columns' names.*be lost"):
        read_intervals(path, BY_NUMBER)
    workbook(path, [["from", "to", "what"], [2, 12, "walking"]])
    assert [i.activity for i in read_intervals(path, BY_NUMBER)] == ["walking"]


@pytest.mark.parametrize("names", ["0,1,2", "1,2,3"])
def test_names_that_count_columns_are_names(names: str, tmp_path: Path) -> None:
    """pandas names columns so that have no names."""
    path = tmp_path / "P1.csv"
    path.write_text(f"{names}\n2,12,4\n15,30,5\n")
    assert [i.activity for i in read_intervals(path, BY_NUMBER)] == ["4", "5"]


@pytest.mark.parametrize("text", ["NA", " NA", "None ", "nan"])
@pytest.mark.parametrize("ending", ["csv", "xlsx", "parquet", "npy"])
def test_what_stands_for_a_missing_activity_is_none_in_every_format(text: str, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"P1.{ending}"
    rows: list[tuple[float, float, str]] = [(2, 12, "walking"), (15, 30, text)]
    if ending == "csv":
        path.write_text("".join(f"{','.join(map(str, row))}\n" for row in [("start", "end", "activity"), *rows]))
    elif ending == "xlsx":
        workbook(path, [["start", "end", "activity"], *map(list, rows)])
    elif ending == "parquet":
        pd.DataFrame(rows, columns=["start", "end", "activity"]).to_parquet(path)
    else:
        np.save(path, np.array(rows, [("start", "f8"), ("end", "f8"), ("activity", "U8")]))
    with pytest.raises(RecordingError, match=r"P1\.\w+, (line|row) [23]: no activity; expected a name"):
        read_intervals(path, LabelsSpec(files="x"))
    kept = LabelsSpec(files="x", csv=CsvSpec(null=[""]))
    assert [i.activity for i in read_intervals(path, kept)] == ["walking", text.strip()]


def test_one_table_for_several_people_gives_each_their_own_rows(tmp_path: Path) -> None:
    table = "subject,start,end,activity\nP1,0,2,walking\nP2,2,4,sitting\n P1 ,4,5,sitting\nP3,1,2,lying\n"
    source = study(tmp_path, table, ("P1", "P2"))
    first, second = (source.load(name) for name in source.names())
    assert said(first) == [(0, 2, "walking"), (4, 5, "sitting")]
    assert said(second) == [(2, 4, "sitting")]
    notes = [str(recording.metadata.get("import_notes", "")) for recording in (first, second)]
    assert notes == ["1 rows of labels.csv are of no recording of this group: subject 'P3'", ""]


def test_rows_are_told_by_person_and_session(tmp_path: Path) -> None:
    table = "session,subject,start,end,activity\n1,P1,0,2,walking\n2,P1,2,4,sitting\n1,P2,0,5,lying\n"
    assert said(study(tmp_path, table).load("P1_1")) == [(0, 2, "walking")]


def test_a_person_without_rows_and_rows_without_a_person_are_refused(tmp_path: Path) -> None:
    table = "subject,start,end,activity\nP1,0,2,walking\n"
    with pytest.raises(
        RecordingError, match=r"labels\.csv: no row has 'P2' in column 'subject'.*labels\.optional: true"
    ):
        study(tmp_path, table, ("P1", "P2")).load("P2_1")
    assert said(study(tmp_path, table, ("P1", "P2"), optional=True).load("P2_1")) == []
    # As a sheet has it where cells were joined.
    with pytest.raises(RecordingError, match=r"line 3: nothing in column 'subject' says whose row it is"):
        study(tmp_path, f"{table},2,4,sitting\n").load("P1_1")


def test_a_table_of_one_recording_may_name_its_person_otherwise(tmp_path: Path) -> None:
    recording = study(tmp_path, "subject,start,end,activity\nA-P1,0,2,walking\n").load("P1_1")
    assert said(recording) == [(0, 2, "walking")]
    assert recording.metadata["import_notes"] == "labels.csv: subject is 'A-P1' in every row, 'P1' in the files' names"


def test_a_table_that_does_not_say_whose_its_rows_are_is_said(tmp_path: Path) -> None:
    source = study(tmp_path, "start,end,activity\n0,2,walking\n", ("P1", "P2"))
    for name in source.names():
        notes = source.load(name).metadata["import_notes"]
        assert "labels.csv has the labels of 2 recordings, and no column 'subject' or 'session' says" in str(notes)


def test_comments_and_packed_files_of_labels(tmp_path: Path) -> None:
    text = "# by hand\nstart,end,activity\n#2,3,lying\n0,2,walking\n  # more\n2,4,sitting\n"
    spec = LabelsSpec(files="x", csv=CsvSpec(comment="#"))
    for path, content in ((tmp_path / "P1.csv", text.encode()), (tmp_path / "P1.csv.gz", gzip.compress(text.encode()))):
        path.write_bytes(content)
        assert [i.activity for i in read_intervals(path, spec)] == ["walking", "sitting"]
        path.write_bytes(content if path.suffix == ".csv" else gzip.compress(text.replace("2,4", "x,4").encode()))
    with pytest.raises(RecordingError, match=r"P1\.csv\.gz, line 6, column 'start' \(start\): found 'x'"):
        read_intervals(tmp_path / "P1.csv.gz", spec)
    (tmp_path / "P1.csv").write_text(text.replace("0,2,walking", '0,2,"walking'))
    with pytest.raises(RecordingError, match="line 4: the file ends within quotes"):
        read_intervals(tmp_path / "P1.csv", spec)


HOUR, DAY = 3600.0, 86400.0
CLOCK = LabelsSpec(files="x", unit="h:m:s", clock="imu")


def placed(
    folder: Path, rows: Sequence[tuple[float, float]], begin: float, hours: float
) -> tuple[list[Interval], list[str]]:
    """Labels, all written as times of day, of a recording from ``begin`` on."""
    path = folder / "P1.csv"
    path.write_text("\n".join(["start,end,activity", *(f"{clock(a)},{clock(b)},walking" for a, b in rows)]) + "\n")
    stream = ImuStream(np.array([0.0, hours * HOUR]), np.zeros((2, 6)), "wrist", "none")
    return on_day_of(read_intervals(path, CLOCK), CLOCK, TimeSpec("t", "h:m:s"), begin, [stream], path)


@pytest.mark.parametrize(("begin", "hours"), [(6 * HOUR, 14), (20 * HOUR, 14), (20 * HOUR, 3), (1 * HOUR, 22.5)])
def test_rows_that_are_sorted_by_activity_stay_on_their_day(begin: float, hours: float, tmp_path: Path) -> None:
    """Going back by more than twelve hours is not always midnight."""
    parts = [(0.93, 0.95), (0.96, 0.99), (0.01, 0.02), (0.5, 0.51), (0.2, 0.21), (0.97, 0.98), (0.03, 0.04)]
    right = [(round(begin + a * hours * HOUR), round(begin + b * hours * HOUR)) for a, b in parts]
    found, notes = placed(tmp_path, right, begin, hours)
    assert [(i.start, i.end) for i in found] == right
    assert notes == [] or "on the recording's day: rows are not in order of time" in notes[0]
    in_order, notes = placed(tmp_path, sorted(right), begin, hours)
    assert [(i.start, i.end) for i in in_order] == sorted(right)
    assert notes == []


def test_labels_outside_of_a_recording_stay_outside(tmp_path: Path) -> None:
    right = [(5 * HOUR, 5.5 * HOUR), (7 * HOUR, 8 * HOUR), (15 * HOUR, 16 * HOUR)]
    found, notes = placed(tmp_path, right, 6 * HOUR, 8)
    assert ([(i.start, i.end) for i in found], notes) == (right, [])


def test_hours_and_minutes_are_no_minutes_and_seconds(tmp_path: Path) -> None:
    """At night both readings lie within the recording."""
    table = "start,end,activity\n20:30,20:40,walking\n"
    with pytest.raises(RecordingError, match=r"20:30 has: hours and minutes.*labels\.format: '%H:%M' or '%M:%S'"):
        study(tmp_path, table, begin=20.5 * HOUR, unit="h:m:s", clock="imu").load("P1_1")
    assert said(study(tmp_path, table, begin=20.5 * HOUR, format="%H:%M", clock="imu").load("P1_1")) == [
        (0, 600, "walking")
    ]
    # Counted from the beginning, as a player shows it, and beside stamps of the same kind, they are minutes.
    short = "start,end,activity\n00:01,00:03,walking\n"
    for where in ("video", "imu"):
        recording = study(tmp_path, short, unit="h:m:s", clock=where).load("P1_1")
        assert said(recording) == [(1, 3, "walking")]


BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
TWICE = datetime.datetime(2024, 10, 27, 0, tzinfo=datetime.timezone.utc).timestamp()  # 2:00, and an hour later again


@pytest.mark.parametrize(
    ("begin", "minutes"),
    [
        (-60, [(-50, -10), (30, 40), (50, 70), (76, 80), (90, 125), (130, 150)]),
        (-60, [(30, 40), (85, 95)]),
        (-60, [(50, 70)]),
        (15, [(20, 30), (130, 150)]),
        (75, [(80, 90), (100, 125)]),
        (30, [(70, 80), (95, 100)]),
    ],
)
def test_labels_of_the_hour_that_is_there_twice(begin: int, minutes: list[tuple[int, int]], tmp_path: Path) -> None:
    """Without an offset, their order and the sensor's times tell which one they mean."""
    right = [(TWICE + 60.0 * a, TWICE + 60.0 * b) for a, b in minutes]
    local = [[f"{datetime.datetime.fromtimestamp(t, BERLIN):%Y-%m-%d %H:%M}" for t in times] for times in right]
    path = tmp_path / "P1.csv"
    path.write_text("\n".join(["start,end,activity", *(f"{a},{b},walking" for a, b in local)]) + "\n")
    facts, spec = LabelFacts(), LabelsSpec(files="x", unit="iso8601", zone="Europe/Berlin", clock="imu")
    stream = ImuStream(np.array([0.0, 4 * HOUR]), np.zeros((2, 6)), "wrist", "none")
    time = TimeSpec("t", "iso8601", zone="Europe/Berlin")
    found, _ = on_day_of(read_intervals(path, spec, facts), spec, time, TWICE + 60.0 * begin, [stream], path)
    assert [(i.start, i.end) for i in found] == right
    assert "labels lie in the hour that is there twice" in facts.notes[0]
