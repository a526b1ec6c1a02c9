"""The command that compares clocks, on a clip whose own agree."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.real_data import gopro_clip

from experiments import check_clocks


def test_one_line_and_one_picture_a_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gopro_clip()
    assert check_clocks.main(["action_camera", f"paths.runs={tmp_path}"]) == 0
    out = capsys.readouterr().out
    (line,) = (line for line in out.splitlines() if line.startswith("max-heromode"))
    offset = float(line.split()[3])
    assert abs(offset) < 50  # ms; its own clocks agree
    assert line.endswith("agree")
    (picture,) = tmp_path.rglob("*.png")
    assert picture.stat().st_size > 10_000


def test_without_a_camera_there_is_nothing_to_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_clocks.main(["action_camera", f"paths.runs={tmp_path}", "datasets.pretraining.camera=''"]) == 1
    assert "camera" in capsys.readouterr().err
