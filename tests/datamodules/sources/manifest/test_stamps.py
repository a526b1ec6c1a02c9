"""Stamps of loggers as they are: packets that were lost, rows written twice, clocks that are put back."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers.made_tables import turning

from datamodules.recording import FloatArray, Recording, RecordingError
from datamodules.sources.manifest import Manifest, ManifestError, ManifestParams
from datamodules.sources.manifest.stamps.text_times import TimeText, TimeTextError

HEADER = "t,ax,ay,az,gx,gy,gz"
NEAR = 2e-5  # five decimals of values, and of stamps times their rate of change
TIMES, VALUES = turning(3000)


def study(folder: Path, stamps: list[str], values: FloatArray, **time: object) -> Manifest:
    rows = [f"{stamp},{','.join(f'{v:.5f}' for v in row)}" for stamp, row in zip(stamps, values, strict=True)]
    (folder / "P1.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    sensor = {
        "acceleration": {"columns": ["ax", "ay", "az"], "unit": "m/s^2"},
        "gyroscope": {"columns": ["gx", "gy", "gz"], "unit": "rad/s"},
    }
    entry = {
        "files": "{subject}.csv",
        "time": {"column": "t", "unit": "s", **time},
        "sensors": {"wrist": sensor},
    }
    if "format" in time:
        del entry["time"]["unit"]  # type: ignore[attr-defined]
    (folder / "m.yaml").write_text(yaml.safe_dump({"groups": {"g": {"zero": "first_sample", "imu": [entry]}}}))
    return Manifest(ManifestParams(str(folder / "m.yaml")))


def load(folder: Path, stamps: FloatArray | list[str], values: FloatArray, **time: object) -> Recording:
    texts = [f"{stamp:.5f}" if isinstance(stamp, float) else stamp for stamp in list(stamps)]
    return study(folder, texts, values, **time).load("P1")


def notes(recording: Recording) -> str:
    return str(recording.metadata.get("import_notes", ""))


@pytest.mark.parametrize("lost", [0.03, 0.15])
@pytest.mark.parametrize("within_s", [0.001, 0.0])
def test_lost_packets_leave_holes_and_shift_nothing(lost: float, within_s: float, tmp_path: Path) -> None:
    size = 16
    packet = np.arange(TIMES.size) // size
    stamps = packet * size * 0.01 + (np.arange(TIMES.size) % size) * within_s
    kept = (np.random.default_rng(2).random(packet.max() + 1) > lost)[packet]
    kept[:size] = True
    imu = load(tmp_path, stamps[kept], VALUES[kept]).imus[0]
    np.testing.assert_allclose(imu.times, TIMES[kept], atol=1e-4)  # stamps have five decimals
    np.testing.assert_allclose(imu.values, VALUES[kept], atol=NEAR)


def test_samples_lost_within_packets_shift_the_others_by_less_than_they_are(tmp_path: Path) -> None:
    size = 16
    kept = np.random.default_rng(3).random(TIMES.size) > 0.02
    kept[::size] = True
    stamps = (np.arange(TIMES.size) // size) * size * 0.01 + (np.arange(TIMES.size) % size) * 0.001
    imu = load(tmp_path, stamps[kept], VALUES[kept]).imus[0]
    # Three samples at most are lost of any packet.
    assert np.abs(imu.times - TIMES[kept]).max() < 0.031


@pytest.mark.parametrize("again", [range(500, 520), range(0, 3000, 10), range(2500, 3000)])
def test_rows_that_are_there_twice_are_left_out_and_named(again: range, tmp_path: Path) -> None:
    rows = np.sort(np.concatenate([np.arange(3000), np.array(again)]))
    recording = load(tmp_path, TIMES[rows], VALUES[rows])
    np.testing.assert_allclose(recording.imus[0].times, TIMES, atol=1e-9)
    assert f"left out: {len(again)} rows that are there twice, the first at" in notes(recording)


def test_a_block_written_twice_behind_others_is_found(tmp_path: Path) -> None:
    rows = np.concatenate([np.arange(2000), np.arange(1500, 3000)])
    recording = load(tmp_path, TIMES[rows], VALUES[rows])
    np.testing.assert_allclose(recording.imus[0].values, VALUES, atol=NEAR)


def test_alike_samples_of_a_coarse_sensor_at_rest_are_kept(tmp_path: Path) -> None:
    """With stamps cut to whole seconds, rows are alike by chance."""
    coarse = np.round(np.full((3000, 6), 1.0) + np.random.default_rng(0).normal(0, 0.3, (3000, 6)))
    imu = load(tmp_path, np.floor(TIMES), coarse).imus[0]
    assert imu.times.size == 3000


@pytest.mark.parametrize("stamp", [0.0, 1e9])
def test_a_lone_stamp_that_is_far_off_is_put_between_its_neighbours(stamp: float, tmp_path: Path) -> None:
    stamps = TIMES.copy()
    stamps[1500] = stamp
    recording = load(tmp_path, stamps, VALUES)
    np.testing.assert_allclose(recording.imus[0].times, TIMES, atol=1e-9)
    assert "the stamp of sample 1501" in notes(recording)


def test_the_newest_sample_first(tmp_path: Path) -> None:
    recording = load(tmp_path, TIMES[::-1], VALUES[::-1])
    np.testing.assert_allclose(recording.imus[0].values, VALUES, atol=NEAR)
    assert "newest" in notes(recording)


def test_rows_without_any_order_are_no_starts_of_a_logger(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).permutation(3000)
    with pytest.raises(RecordingError, match="are the rows sorted") as caught:
        load(tmp_path, TIMES[rows], VALUES[rows])
    assert "parts" not in str(caught.value)


def iso(seconds: FloatArray, form: str = "%Y-%m-%dT%H:%M:%S.%f") -> list[str]:
    begin = datetime.datetime(1970, 1, 1)
    return [(begin + datetime.timedelta(seconds=float(s))).strftime(form) for s in seconds]


def utc(*when: int) -> float:
    return datetime.datetime(*when, tzinfo=datetime.timezone.utc).timestamp()  # type: ignore[misc,arg-type]


def test_the_hours_of_daylight_saving(tmp_path: Path) -> None:
    turns = [
        (utc(2025, 3, 30, 1), 3600, 7200),  # from two to three o'clock
        (utc(2025, 10, 26, 1), 7200, 3600),  # the hour that is there twice begins again
        (utc(2025, 10, 26, 2), 3600, 3600),  # begun within its second pass
    ]
    for turn, before, after in turns:
        seconds = turn - 15 + TIMES
        local = np.where(seconds < turn, seconds + before, seconds + after)
        imu = load(tmp_path, iso(local), VALUES, unit="iso8601", zone="Europe/Berlin").imus[0]
        np.testing.assert_allclose(imu.times, TIMES, atol=2e-6)  # microseconds in the text


@pytest.mark.parametrize(
    "text", ["20240330T013000", "20240330T013000.000", "20240330T0130", "2024-03-30T01:30", "2024-03-30 01:30:00"]
)
def test_every_way_of_writing_without_an_offset_is_local_time(text: str) -> None:
    assert TimeText("iso8601", zone="Europe/Berlin").read_one(text) == utc(2024, 3, 30, 0, 30)
    assert TimeText("iso8601").read_one(text) == utc(2024, 3, 30, 1, 30)


@pytest.mark.parametrize(
    "text", ["20240330T013000Z", "20240330T033000+0200", "20240330T013000.0+00", "2024-03-29T20:30:00-05"]
)
def test_every_way_of_writing_an_offset_is_seen(text: str) -> None:
    written = TimeText("iso8601", zone="Europe/Berlin")
    assert written.read_one(text) == utc(2024, 3, 30, 1, 30)
    assert written.offsets == {True}


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("%Y-%m-%dT%H:%M:%S.%fZ", "2024-03-30T01:30:00.000Z"),
        ("%Y-%m-%dT%H:%M:%SZ", "2024-03-30T01:30:00Z"),
        ("%d.%m.%Y %H:%M UTC", "30.03.2024 01:30 UTC"),
        ("%d.%m.%Y %H:%M GMT", "30.03.2024 01:30 GMT"),
        ("%d.%m.%Y %H:%M:%S+00:00", "30.03.2024 01:30:00+00:00"),
        ("%d.%m.%Y %H:%M:%S+0200", "30.03.2024 03:30:00+0200"),
        ("%d.%m.%Y %H:%M:%S-0530", "29.03.2024 20:00:00-0530"),
        ("%d.%m.%Y %H:%M:%S %Z", "30.03.2024 01:30:00 UTC"),
        ("%d.%m.%Y %H:%M:%S %z", "30.03.2024 02:30:00 +01:00"),
    ],
)
@pytest.mark.parametrize("zone", ["", "Europe/Berlin"])
def test_an_offset_in_a_format_is_no_local_time(form: str, text: str, zone: str) -> None:
    written = TimeText("", form, zone)
    assert written.read_one(text) == utc(2024, 3, 30, 1, 30)
    assert written.offsets == {True}


def test_one_time_with_half_an_offset_among_others_is_named() -> None:
    """pandas takes "-0" for an offset, and several zones in a column are none of its dates."""
    with pytest.raises(TimeTextError, match="2024-03-31T00:3-0") as caught:
        TimeText("iso8601", zone="Europe/Berlin").read(["2024-03-31T01", "2024-03-31T00:3-0", "2024-03-31T03:30"])
    assert caught.value.row == 1


def test_a_clock_that_was_not_put_forward_is_said(tmp_path: Path) -> None:
    local = utc(2025, 3, 30, 1) - 15 + TIMES + 3600
    with pytest.raises(RecordingError, match=r"clocks were put forward.*set zone to one that keeps one time"):
        load(tmp_path, iso(local), VALUES, unit="iso8601", zone="Europe/Berlin")
    imu = load(tmp_path, iso(local), VALUES, unit="iso8601", zone="Etc/GMT-1").imus[0]
    np.testing.assert_allclose(imu.times, TIMES, atol=2e-6)


@pytest.mark.parametrize(
    ("form", "declared", "says"),
    [
        ("%H:%M:%S.%f", {"unit": "iso8601"}, r"set the unit to h:m:s"),
        ("%Y-%m-%d %H:%M:%S:%f", {"unit": "iso8601"}, r'set time\.format: "%Y-%m-%d %H:%M:%S:%f"'),
        ("%d/%m/%y %H:%M:%S", {"format": "%d/%m/%Y %H:%M:%S"}, r'set time\.format: "%d/%m/%y %H:%M:%S" or "%m/%d'),
        ("%Y-%m-%dT%H:%M:%S.%f", {"unit": "s"}, "set the unit to iso8601"),
        ("%H:%M:%S.%f", {"unit": "s"}, "set the unit to h:m:s"),
    ],
)
def test_the_setting_that_would_read_a_stamp_is_named(
    form: str, declared: dict[str, str], says: str, tmp_path: Path
) -> None:
    with pytest.raises(RecordingError, match=says) as caught:
        load(tmp_path, iso(utc(2025, 3, 4, 13) + TIMES, form), VALUES, **declared)
    assert "skip_below_header" not in str(caught.value)


def test_twelve_hours_without_am_and_pm(tmp_path: Path) -> None:
    stamps = iso(utc(2025, 3, 4, 12) - 15 + TIMES, "%m/%d/%Y %I:%M:%S.%f")
    with pytest.raises(RecordingError, match="clock of twelve hours") as caught:
        load(tmp_path, stamps, VALUES, format="%m/%d/%Y %I:%M:%S.%f")
    assert "parts" not in str(caught.value)
    with pytest.raises(ManifestError, match=r"AM and PM.*expected %I"):
        study(tmp_path, stamps, VALUES, format="%m/%d/%Y %H:%M:%S.%f %p")


def test_fractions_without_their_zeros_are_no_starts_of_a_logger(tmp_path: Path) -> None:
    stamps = [f"12:00:{int(s):02d}.{round(s % 1 * 1000) % 1000}" for s in TIMES]
    with pytest.raises(RecordingError, match=r"0\.050, not 0\.50") as caught:
        load(tmp_path, stamps, VALUES, unit="h:m:s")
    assert "parts" not in str(caught.value)


def test_days_as_spreadsheets_count_them(tmp_path: Path) -> None:
    stamps = [f"{45720.5 + s / 86400:.10f}" for s in TIMES]
    with pytest.raises(RecordingError, match="these look like days"):
        load(tmp_path, stamps, VALUES)
    imu = load(tmp_path, stamps, VALUES, unit="days").imus[0]
    np.testing.assert_allclose(imu.times, TIMES, atol=1e-5)  # ten decimals of a day are nine microseconds
