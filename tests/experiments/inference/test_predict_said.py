"""Notes of predict on a table that was not read as it stands: rows left out, stamps spread, rates that disagree."""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.made_encoders import small_head

from datamodules.recording import ImuStream
from experiments.inference.head import save_head
from experiments.predict import main

Write = Callable[..., Path]
Said = Callable[..., tuple[int, str]]
COLUMNS = ("--acceleration", "ax,ay,az:m/s^2", "--gyroscope", "gx,gy,gz:rad/s")
STAMPS = ("--time", "time_ms:ms")


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A head whose study had the sensor on the head."""
    made = small_head("handcrafted_logistic")
    about = {**made.about, "placements": ["head"]}
    return save_head(replace(made, about=about), tmp_path_factory.mktemp("said") / "head")


@pytest.fixture
def said(head: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Said:
    """A function that predicts a file: exit code, and what was said."""

    def predict(path: Path, *options: str) -> tuple[int, str]:
        code = main([str(head), str(path), *options, "--output", str(tmp_path / "out"), "--workers", "1"])
        return code, " ".join(capsys.readouterr().err.split())

    return predict


@pytest.fixture
def table(write_csv: Write, stream: ImuStream, tmp_path: Path) -> Path:
    return write_csv(tmp_path / "r.csv", stream)


def test_a_table_that_is_right_is_said_nothing_of(said: Said, table: Path) -> None:
    assert said(table, *STAMPS, *COLUMNS) == (0, "r: 8 windows")
    assert said(table, "--rate", "100", *COLUMNS) == (0, "r: 8 windows")


def test_a_row_that_is_broken_off_is_said_to_be_left_out(said: Said, table: Path, tmp_path: Path) -> None:
    table.write_text(table.read_text()[:-30])
    code, text = said(table, *STAMPS, *COLUMNS)
    assert code == 0
    assert "r: left out: line 4001, which is broken off: '" in text
    assert "left out: line 4001" in (tmp_path / "out" / "predictions.html").read_text()


def test_stamps_that_come_in_packets_are_said_to_be_spread(said: Said, table: Path) -> None:
    header, *rows = table.read_text().splitlines()
    packets = [",".join([rows[i - i % 10].split(",")[0], *row.split(",")[1:]]) for i, row in enumerate(rows)]
    table.write_text("\n".join([header, *packets]) + "\n")
    code, text = said(table, *STAMPS, *COLUMNS)
    assert code == 0
    assert "r: stamps are the same for 10 samples at a time, every 0.1 s: spread evenly, 100 Hz" in text


def test_a_rate_that_the_stamps_contradict_is_said(said: Said, table: Path) -> None:
    code, text = said(table, "--rate", "50", *COLUMNS)
    assert code == 0
    assert "r.csv: column 'time_ms', which is not read, has 100 Hz in ms on average" in text
    assert "the declared rate is 50 Hz" in text


def test_a_second_header_is_said_where_samples_are_counted(said: Said, table: Path) -> None:
    header, *rows = table.read_text().splitlines()
    table.write_text("\n".join([header, *rows[:2000], header, *rows[2000:]]) + "\n")
    code, text = said(table, "--rate", "100", *COLUMNS)
    assert code == 0
    assert "the header is there 1 times more: samples are counted on" in text


def as_days(table: Path) -> None:
    """Stamps as a spreadsheet counts days: 45000 is 15 March 2023."""
    header, *rows = table.read_text().splitlines()
    begin = float(rows[0].split(",")[0])
    cells = [row.split(",") for row in rows]
    days = [f"{45000.5 + (float(first) - begin) / 86.4e6:.12f}" for first, *_ in cells]
    table.write_text("\n".join([header, *(",".join([d, *c[1:]]) for d, c in zip(days, cells, strict=True))]) + "\n")


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize("kind", ["table", "manifest"])
def test_a_spreadsheets_days_are_days_of_the_calendar(
    kind: str, zone: str, said: Said, table: Path, tmp_path: Path
) -> None:
    as_days(table)
    given: tuple[Path | str, ...] = (table, "--time", "time_ms:days", *COLUMNS)
    if kind == "manifest":
        manifest = tmp_path / "m.yaml"
        manifest.write_text(
            "groups:\n  all:\n    subject: one\n    imu:\n      - files: '{recording}.csv'\n"
            "        time: {column: time_ms, unit: days}\n        sensors:\n          head:\n"
            "            acceleration: {columns: [ax, ay, az], unit: m/s^2}\n"
        )
        given = (manifest,)
    assert said(*given, "--zone", zone)[0] == 0
    rows = (tmp_path / "out" / "predictions.csv").read_text().splitlines()
    first = dict(zip(rows[0].split(","), rows[1].split(","), strict=True))
    assert first["clock"] == "2023-03-15 12:00:00"  # as the spreadsheet shows it, whichever the zone
    noon = datetime.datetime(2023, 3, 15, 12, tzinfo=zoneinfo.ZoneInfo(zone))
    # A double keeps a day's fraction to some microseconds.
    assert float(first["start"]) == pytest.approx(noon.timestamp(), abs=1e-3)


def test_a_column_that_is_declared_twice_is_refused(said: Said, table: Path) -> None:
    code, text = said(table, *STAMPS, "--acceleration", "ax,ay,az:m/s^2", "--gyroscope", "ax,ay,az:rad/s")
    assert code == 1
    assert "--acceleration, --gyroscope: column 'ax' stands for two axes; expected a column of its own for each" in text


@pytest.mark.parametrize("place", ["head", "ankle"])
def test_a_sensor_at_another_place_than_the_heads_is_said(place: str, said: Said, table: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "m.yaml"
    manifest.write_text(
        "groups:\n  all:\n    subject: one\n    imu:\n      - files: '{recording}.csv'\n"
        f"        time: {{column: time_ms, unit: ms}}\n        sensors:\n          {place}:\n"
        "            acceleration: {columns: [ax, ay, az], unit: m/s^2}\n"
        "            gyroscope: {columns: [gx, gy, gz], unit: rad/s}\n"
    )
    warned = "r: the sensor is at 'ankle', the study of the head had it at 'head': expect more errors."
    for found in (said(manifest), said(table, *STAMPS, *COLUMNS, "--placement", place)):
        assert found == (0, "r: 8 windows" + f" {warned}" * (place == "ankle"))
