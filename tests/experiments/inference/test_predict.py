"""Predictions for files: the same in any unit and format, gaps as gaps, in parts and in processes as at once."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.real_data import gopro_clip

from datamodules.recording import ImuStream, Recording
from datamodules.sources.manifest import streamed
from datamodules.windows.cut import Reason, cut_windows
from datamodules.windows.quality import stationary
from experiments.inference.head import load_head
from experiments.inference.parts import Part
from experiments.inference.recordings import TableColumns
from experiments.predict import main

Adapted = Any  # of conftest
Write = Callable[..., Path]
SI = ["--time", "time_ms:ms", "--acceleration", "ax,ay,az:m/s^2", "--gyroscope", "gx,gy,gz:rad/s"]
G = ["--time", "time_ms:ms", "--acceleration", "ax,ay,az:g", "--gyroscope", "gx,gy,gz:deg/s"]


@pytest.fixture(scope="module")
def head(adapted: Adapted) -> Path:
    folder: Path = adapted.folders["hybrid_logistic"]
    return folder


def predicted(head: Path, file: Path, folder: Path, *options: str) -> pd.DataFrame:
    assert main([str(head), str(file), "--output", str(folder), "--workers", "1", *options]) == 0
    return pd.read_csv(folder / "predictions.csv", keep_default_na=False)


def test_a_table_gives_what_the_windows_of_the_evaluation_give(
    head: Path, stream: ImuStream, write_csv: Write, tmp_path: Path
) -> None:
    found = predicted(head, write_csv(tmp_path / "r.csv", stream), tmp_path / "out", *SI, "--no-smoothing")
    loaded = load_head(head)
    windows, _ = cut_windows(Recording("r", "s", (stream,)), "head", None, loaded.grid)
    expected = loaded.probabilities(windows)
    np.testing.assert_allclose(found["start"], [w.start_s for w in windows], atol=1e-3)
    # The file has 12 digits, the table of predictions 4 decimals.
    np.testing.assert_allclose(found["probability"].astype(float), expected.max(axis=1), atol=1e-4)
    assert found["activity"].tolist() == [loaded.classes[i] for i in expected.argmax(axis=1)]


def test_units_and_formats_change_nothing(head: Path, stream: ImuStream, write_csv: Write, tmp_path: Path) -> None:
    si = predicted(head, write_csv(tmp_path / "r.csv", stream), tmp_path / "si", *SI)
    (tmp_path / "g").mkdir()
    path = write_csv(tmp_path / "g" / "r.csv", stream, "g", "deg/s")
    pd.testing.assert_frame_equal(predicted(head, path, tmp_path / "out_g", *G), si)
    parquet = tmp_path / "r.parquet"
    pd.read_csv(path).to_parquet(parquet)
    pd.testing.assert_frame_equal(predicted(head, parquet, tmp_path / "out_parquet", *G), si)
    packed = tmp_path / "r.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    pd.testing.assert_frame_equal(predicted(head, packed, tmp_path / "out_packed", *G), si)
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(
        "groups:\n  all:\n    subject: one\n    imu:\n      - files: g/{recording}.csv\n"
        "        time: {column: time_ms, unit: ms}\n        sensors:\n          head:\n"
        "            acceleration: {columns: [ax, ay, az], unit: g}\n"
        "            gyroscope: {columns: [gx, gy, gz], unit: deg/s}\n"
    )
    pd.testing.assert_frame_equal(predicted(head, manifest, tmp_path / "out_manifest"), si)


def test_a_video_of_an_action_camera_gives_its_sensors_windows(head: Path, tmp_path: Path) -> None:
    found = predicted(head, gopro_clip(), tmp_path / "out")
    # The sensor's 10.5 s are two windows of 4 s, and a rest.
    assert found["status"].tolist()[-1] == "gap"
    assert found["reason"].tolist() == ["", "", "remainder"]
    assert found["end"].iloc[-1] == pytest.approx(10.5, abs=0.2)


def test_gaps_and_lost_samples_are_gaps(head: Path, stream: ImuStream, write_csv: Write, tmp_path: Path) -> None:
    begin = stream.times[0]
    kept = (stream.times < begin + 9) | (stream.times > begin + 14)
    holey = replace(stream, times=stream.times[kept], values=stream.values[kept])
    found = predicted(head, write_csv(tmp_path / "r.csv", holey), tmp_path / "out", *SI)
    gap = found[found["status"] == "gap"]
    assert gap[["start", "end"]].to_numpy().tolist() == [[begin + 8, begin + 16]]
    assert gap["reason"].tolist() == ["gap"]
    assert gap["activity"].tolist() == [""]
    days = pd.read_csv(tmp_path / "out" / "days.csv")
    assert days["gap"].tolist() == [8]
    assert days.drop(columns=["recording", "day"]).sum(axis=1).tolist() == [40]


def test_all_outputs_are_there_and_say_what_is_simulated(
    head: Path, stream: ImuStream, write_csv: Write, tmp_path: Path
) -> None:
    predicted(head, write_csv(tmp_path / "r.csv", stream), tmp_path / "out", *SI)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    tables = {"predictions.csv", "bouts.csv", "hours.csv", "days.csv"}
    assert names == {*tables, "timeline.png", "predictions.html"}
    page = (tmp_path / "out" / "predictions.html").read_text()
    assert "SIMULATED DATA" in page
    assert "On people whom it never saw" in page
    assert page.count("data:image/png;base64,") == 1


def test_a_missing_gyroscope_is_told(
    head: Path, stream: ImuStream, write_csv: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predicted(head, write_csv(tmp_path / "r.csv", stream), tmp_path / "out", *SI[:4])
    assert "has no gyroscope" in capsys.readouterr().err


def test_several_processes_give_the_same(
    head: Path, stream: ImuStream, write_csv: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from experiments.inference import parts, scoring

    path = write_csv(tmp_path / "r.csv", stream)
    one = predicted(head, path, tmp_path / "one", *SI)
    monkeypatch.setattr(scoring, "_WORTH_IT", 2)
    monkeypatch.setattr(parts.parts_of, "__defaults__", (3,))
    assert main([str(head), str(path), "--output", str(tmp_path / "two"), "--workers", "2", *SI]) == 0
    two = pd.read_csv(tmp_path / "two" / "predictions.csv", keep_default_na=False)
    pd.testing.assert_frame_equal(two, one)


@pytest.mark.parametrize("rows", [500, 1237])
def test_parts_of_stretches_hold_the_windows_of_the_whole(stream: ImuStream, head: Path, rows: int) -> None:
    """Whatever the stretches and parts: bit for bit, with a gap and a lost sample in it."""
    from experiments.inference.parts import channels_of, parts_of

    grid = load_head(head).grid
    kept = (stream.times < stream.times[0] + 9) | (stream.times > stream.times[0] + 26)
    values = stream.values.copy()
    values[3100] = np.nan
    whole = replace(stream, times=stream.times[kept], values=values[kept])
    expected, excluded = cut_windows(Recording("", "", (whole,)), "head", None, grid)
    stretches = (
        replace(whole, times=whole.times[i : i + rows], values=whole.values[i : i + rows])
        for i in range(0, len(whole.times), rows)
    )
    found: list[Part] = list(parts_of(stretches, channels_of(whole.values), grid, windows=2))
    windows = [window for part in found for window in part.cut(grid)[0]]
    left_out = [exclusion for part in found for exclusion in part.cut(grid)[1]]
    assert [w.start_s for w in windows] == [w.start_s for w in expected]
    for a, b in zip(windows, expected, strict=True):
        assert np.array_equal(a.imu, b.imu)
        assert np.array_equal(a.sample_mask, b.sample_mask)
    windowed = [(e.start_s, e.reason) for e in excluded if e.reason is not Reason.REMAINDER]
    assert sorted((e.start_s, e.reason) for e in left_out) == sorted(windowed)


def lost_windows(head: Path, stream: ImuStream) -> list[float]:
    """Starts of the windows that the build leaves out because something hangs."""
    _, excluded = cut_windows(Recording("r", "s", (stream,)), "head", None, load_head(head).grid)
    return [e.start_s for e in excluded if e.reason is Reason.FLAT_LINE]


@pytest.mark.parametrize("rows", [1 << 18, 700])
def test_axes_that_hang_are_gaps_as_in_the_build(
    head: Path, stream: ImuStream, write_csv: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(streamed.stream_motion, "__defaults__", (rows,))
    values = stream.values.copy()
    values[900:1500, 1] = values[900, 1]  # six seconds, three in each of two windows
    hanging = replace(stream, values=values)
    expected = lost_windows(head, hanging)
    assert len(expected) == 2
    found = predicted(head, write_csv(tmp_path / "r.csv", hanging), tmp_path / "out", *SI)
    gaps = found[found["reason"] == "flat_line"]
    windows = [s + 4.0 * k for s, e in zip(gaps["start"], gaps["end"], strict=True) for k in range(round((e - s) / 4))]
    np.testing.assert_allclose(windows, expected, atol=1e-3)


def test_a_dead_axis_makes_gaps_and_is_named(
    head: Path, stream: ImuStream, write_csv: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = stream.values.copy()
    values[:, 5] = 0
    dead = replace(stream, values=values)
    assert len(lost_windows(head, dead)) == 10
    found = predicted(head, write_csv(tmp_path / "r.csv", dead), tmp_path / "out", *SI)
    assert found["reason"].tolist() == ["flat_line"]
    assert "gz reads 0 throughout the recording: a dead axis; its windows are gaps" in capsys.readouterr().err
    assert "dead axis" in (tmp_path / "out" / "predictions.html").read_text()


def test_held_values_are_said_and_left_out(
    head: Path, stream: ImuStream, write_csv: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = replace(stream, times=stream.times[::4], values=stream.values[::4])
    held = replace(stream, values=np.repeat(slow.values, 4, axis=0))
    a = predicted(head, write_csv(tmp_path / "r.csv", slow), tmp_path / "slow", *SI)
    b = predicted(head, write_csv(tmp_path / "r.csv", held), tmp_path / "held", *SI)
    assert "values change 25 times a second, and are written 100 times" in capsys.readouterr().err
    pd.testing.assert_frame_equal(b.iloc[:9], a.iloc[:9])  # the last window ends with the last value held or not


def test_time_without_wear_is_found_and_can_be_kept(
    head: Path, stream: ImuStream, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stationary.non_wear, "__defaults__", (60.0,))  # 90 minutes would take as many windows
    rest = np.random.default_rng(0).normal([0, 0, 9.81, 0, 0, 0], [0.02] * 3 + [0.005] * 3, (25 * 100, 6))
    walk = stream.values[::4]
    values = np.concatenate([walk, rest, walk])
    table = pd.DataFrame(values, columns=["ax", "ay", "az", "gx", "gy", "gz"])
    table.to_parquet(tmp_path / "r.parquet")
    options = ["--rate", "25", *SI[2:]]
    found = predicted(head, tmp_path / "r.parquet", tmp_path / "out", *options)
    (off,) = found[found["status"] == "non-wear"].itertuples()
    assert (off.start, off.end) == (40, 140)
    assert "not worn for 0.028 h" in capsys.readouterr().err
    kept = predicted(head, tmp_path / "r.parquet", tmp_path / "kept", *options, "--worn")
    assert "non-wear" not in set(kept["status"])
    # The same answers where it was worn, but for windows beside the rest, which are smoothed with it.
    for part in (found["end"] <= 36, found["start"] >= 144):
        a = found[part]
        pd.testing.assert_frame_equal(
            kept[kept["start"].isin(a["start"])].reset_index(drop=True), a.reset_index(drop=True)
        )


def test_what_a_manifest_left_out_is_said(
    head: Path, stream: ImuStream, write_csv: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_csv(tmp_path / "r.csv", stream)
    path.write_bytes(path.read_bytes() + bytes(4096))
    (tmp_path / "manifest.yaml").write_text(
        "groups:\n  all:\n    subject: one\n    imu:\n      - files: '{recording}.csv'\n"
        "        time: {column: time_ms, unit: ms}\n        sensors:\n          head:\n"
        "            acceleration: {columns: [ax, ay, az], unit: m/s^2}\n"
        "            gyroscope: {columns: [gx, gy, gz], unit: rad/s}\n"
    )
    predicted(head, tmp_path / "manifest.yaml", tmp_path / "out")
    assert "4096 zero bytes" in capsys.readouterr().err


def test_a_unit_may_have_colons_itself() -> None:
    time = TableColumns("ax,ay,az:g", time="clock:h:m:s").spec("wrist").time
    assert (time.column, time.unit) == ("clock", "h:m:s")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "--acceleration: expected the columns"),
        (["--acceleration", "ax,ay,az:g"], "--time COLUMN:UNIT"),
        (["--acceleration", "ax,ay:g", "--rate", "100"], "expected 3 columns and a unit"),
        (["--acceleration", "ax,ay,az:G", "--rate", "100"], "did you mean 'g'"),
        (["--acceleration", "ax,ay,aq:g", "--rate", "100"], "no column 'aq'"),
        (["--acceleration", "ax,ay,az:g", "--rate", "100"], "look like m/s^2"),
        (["--acceleration", "ax,ay,az:m/s^2", "--rate", "1"], "--rate: expected"),
        (["--acceleration", "ax,ay,az:m/s^2", "--time", "time_ms:s"], "these look like ms"),
        ([*SI, "--zone", "Nowhere/Land"], "no time zone"),
        ([*SI, "--unsure-below", "50"], "expected a probability"),
    ],
)
def test_wrong_options_end_in_one_sentence(
    head: Path, stream: ImuStream, write_csv: Write, tmp_path: Path, options: list[str], words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    path = write_csv(tmp_path / "r.csv", stream)
    assert main([str(head), str(path), "--output", str(tmp_path / "out"), "--workers", "1", *options]) == 1
    said = capsys.readouterr().err.strip()
    assert words in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "out").exists()
