"""Tables of labels as people write them: each row counts, for the person, the day and the activity that it means."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from datamodules.recording import RecordingError
from datamodules.sources.manifest.labels import read_intervals
from datamodules.sources.manifest.spec import CsvSpec, LabelsSpec


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
