"""Predictions for files whose units, axes or ranges can't be right: said by the rules of the build and check_import."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.made_encoders import small_head

from datamodules.recording import ImuStream, Recording
from datamodules.windows.cut import Reason, cut_windows
from datamodules.windows.settings import WindowSettings
from experiments.inference.head import save_head
from experiments.inference.parts import on_a_grid
from experiments.predict import main

Write = Callable[..., Path]
Said = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_head(small_head("handcrafted_logistic"), tmp_path_factory.mktemp("units") / "head")


@pytest.fixture(params=["parquet", "manifest"])
def said(
    request: pytest.FixtureRequest, head: Path, write_csv: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Said:
    """A function that predicts a stream written in one unit and declared in another: exit code, and what was said."""

    def predict(
        stream: ImuStream, written: tuple[str, str], declared: tuple[str, str], ranges: str = ""
    ) -> tuple[int, str]:
        path = write_csv(tmp_path / "r.csv", stream, *written)
        columns: list[str] = []
        if request.param == "manifest":
            path = tmp_path / "study.yaml"
            path.write_text(
                "groups:\n  all:\n    subject: one\n    imu:\n      - files: '{recording}.csv'\n"
                "        time: {column: time_ms, unit: ms}\n        sensors:\n          head:\n"
                f"            acceleration: {{columns: [ax, ay, az], unit: {declared[0]}{ranges}}}\n"
                f"            gyroscope: {{columns: [gx, gy, gz], unit: {declared[1]}}}\n"
            )
        else:
            columns = ["--time", "time_ms:ms", "--acceleration", f"ax,ay,az:{declared[0]}"]
            columns += ["--gyroscope", f"gx,gy,gz:{declared[1]}"]
        if request.param == "parquet":
            import pandas as pd

            pd.read_csv(path).to_parquet(tmp_path / "r.parquet")
            path = tmp_path / "r.parquet"
        code = main([str(head), str(path), *columns, "--output", str(tmp_path / "out"), "--workers", "1"])
        return code, " ".join(capsys.readouterr().err.split())

    return predict


SI = ("m/s^2", "rad/s")


def test_right_units_raise_no_doubt(said: Said, stream: ImuStream) -> None:
    code, text = said(stream, ("g", "deg/s"), ("g", "deg/s"))
    assert code == 0
    assert text == "r: 8 windows"


def test_g_that_were_declared_as_m_s2_are_refused(said: Said, stream: ImuStream, tmp_path: Path) -> None:
    code, text = said(stream, ("g", "rad/s"), SI)
    assert code == 1
    assert str(tmp_path / "r.") in text  # the file
    assert (
        "the acceleration's median size is 0.986 where m/s^2 was declared; these look like g: " in text
    )  # field, and what was found
    assert "--acceleration COLUMNS:g" in text or "set 'unit: g' of the acceleration" in text
    # The build's rule, with the same limits: it would leave all windows out.
    values = stream.values / [9.80665, 9.80665, 9.80665, 1, 1, 1]
    settings = on_a_grid(WindowSettings())
    windows, left_out = cut_windows(Recording("r", "s", (replace(stream, values=values),)), "head", None, settings)
    assert not windows
    assert {e.reason for e in left_out} <= {Reason.GRAVITY, Reason.REMAINDER}


def test_deg_s_that_were_declared_as_rad_s_are_refused(said: Said, stream: ImuStream) -> None:
    code, text = said(stream, ("m/s^2", "deg/s"), SI)
    assert code == 1
    assert "1 % of the angular velocity is above" in text
    assert "these look like deg/s" in text
    assert "--gyroscope COLUMNS:deg/s" in text or "set 'unit: deg/s' of the gyroscope" in text


def test_rad_s_that_were_declared_as_deg_s_are_doubted(said: Said, stream: ImuStream) -> None:
    code, text = said(stream, SI, ("m/s^2", "deg/s"))
    assert code == 0
    assert "r.csv: gyroscope: " in text or "r.parquet: gyroscope: " in text
    assert "times as fast as the gyroscope says: these look like rad/s (declared is deg/s)" in text
    factor = float(text.partition("gravity turns ")[2].split()[0])
    assert 45 < factor < 72  # a radian has 57.3 degrees; gravity is told from movement to a fifth


def test_a_clipped_sensor_is_told(said: Said, stream: ImuStream) -> None:
    limit = float(np.quantile(np.abs(stream.values[:, 2]), 0.9))
    values = stream.values.copy()
    values[:, 2] = np.clip(values[:, 2], -limit, limit)
    code, text = said(replace(stream, values=values), SI, SI)
    assert code == 0
    assert "the largest acceleration is there many times over (up to " in text
    assert "as if clipped: give the device's 'range'" in text
    share = float(text.partition("over (up to ")[2].split()[0])
    assert 9 < share <= 10  # a tenth was clipped; flat tops of one or two samples do not count


def test_a_dead_axis_is_told(said: Said, stream: ImuStream, tmp_path: Path) -> None:
    values = stream.values.copy()
    values[:, 5] = 0
    code, text = said(replace(stream, values=values), SI, SI)
    assert code == 0
    assert "r: gz reads 0 throughout the recording: a dead axis; its windows are gaps. Is it the right column?" in text
    assert "flat_line" in (tmp_path / "out" / "predictions.csv").read_text()
