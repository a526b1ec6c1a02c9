from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.made_sets import PAMAP2_ACTIVITIES, motion, pamap2_rows, pamap2_text, write_pamap2

from datamodules.recording import RecordingError
from datamodules.sources.pamap2 import PLACEMENTS, Pamap2, Pamap2Params
from datamodules.windows.checks import check_recording
from datamodules.windows.cut import WindowSettings, cut_windows

NAME = "subject101_Protocol"


def pamap2(root: Path, **params: Any) -> Pamap2:
    return Pamap2(Pamap2Params(str(root), **params))


def test_three_sensors_and_the_labels_are_read(tmp_path: Path) -> None:
    write_pamap2(tmp_path)
    recording = pamap2(tmp_path).load(NAME)
    check_recording(recording)
    assert [s.placement for s in recording.imus] == list(PLACEMENTS)
    for i, stream in enumerate(recording.imus):
        np.testing.assert_allclose(stream.values, motion(250, i), rtol=1e-5, atol=1e-6)  # seven digits were written
        np.testing.assert_allclose(stream.times, 8.38 + np.arange(250) / 100, rtol=1e-9)
    found = [(i.activity, round(i.start, 6), round(i.end, 6)) for i in recording.activities]
    assert found == [("walking", 8.88, 9.88), ("stairs_up", 10.08, 10.88)]
    assert recording.metadata == {}


def test_lost_samples_stay_lost(tmp_path: Path) -> None:
    path = write_pamap2(tmp_path)
    rows = pamap2_rows([4] * 400)
    for row in rows[150:200]:
        row[3:20] = [np.nan] * 17  # the wrist's radio
    path.write_text(pamap2_text(rows))
    recording = pamap2(tmp_path).load(NAME)
    wrist = recording.imu("dominant_wrist")
    assert np.flatnonzero(np.isnan(wrist.values).all(axis=1)).tolist() == list(range(150, 200))
    grid = WindowSettings(duration_s=1.0, stride_s=1.0, frames=0)
    windows, left_out = cut_windows(recording, "dominant_wrist", None, grid)
    assert [round(w.start_s, 2) for w in windows] == [8.38, 10.38, 11.38]
    assert left_out[0].reason.value == "gap"
    assert len(cut_windows(recording, "chest", None, grid)[0]) == 4


def test_missing_lines_stay_a_gap(tmp_path: Path) -> None:
    path = write_pamap2(tmp_path)
    rows = pamap2_rows([4] * 300)
    path.write_text(pamap2_text(rows[:100] + rows[200:]))
    times = pamap2(tmp_path).load(NAME).imus[0].times
    assert np.diff(times).max() == pytest.approx(1.01)


def test_a_sensor_that_was_off_is_left_out_and_named(tmp_path: Path) -> None:
    path = write_pamap2(tmp_path)
    rows = pamap2_rows(PAMAP2_ACTIVITIES)
    for row in rows:
        row[20:37] = [np.nan] * 17
    path.write_text(pamap2_text(rows))
    recording = pamap2(tmp_path).load(NAME)
    assert [s.placement for s in recording.imus] == ["dominant_wrist", "dominant_ankle"]
    assert recording.metadata == {"off": "chest"}
    check_recording(recording)
    for row in rows:
        row[2:] = [np.nan] * 52
    path.write_text(pamap2_text(rows))
    with pytest.raises(RecordingError, match=r"subject101\.dat: no sensor measured an acceleration"):
        pamap2(tmp_path).load(NAME)


def test_names_and_people(tmp_path: Path) -> None:
    write_pamap2(tmp_path)
    assert pamap2(tmp_path).names() == [NAME, "subject105_Optional"]
    assert pamap2(tmp_path / "PAMAP2_Dataset", subjects=["subject105"]).names() == ["subject105_Optional"]
    assert {i.activity for i in pamap2(tmp_path).load("subject105_Optional").activities} == {"folding_laundry"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows: [row[:53] for row in rows], "line 1: 53 columns; expected 54"),
        (lambda rows: [[*row[:1], 8, *row[2:]] for row in rows], r"the activity is '8'.*expected one of 1, 2"),
        (lambda rows: [rows[0], *rows], "is there twice"),
        (lambda rows: rows[::-1], "expected ascending stamps"),
        (lambda rows: [[np.nan, *row[1:]] for row in rows], "expected a time in every row"),
        (lambda rows: [[*row[:4], *(v / 9.8 for v in row[4:])] for row in rows], "these look like g"),
    ],
)
def test_what_contradicts_the_description_is_refused(tmp_path: Path, change: Callable[[Any], Any], says: str) -> None:
    path = write_pamap2(tmp_path)
    path.write_text(pamap2_text(change(pamap2_rows(PAMAP2_ACTIVITIES))))
    with pytest.raises(RecordingError, match=says) as caught:
        pamap2(tmp_path).load(NAME)
    assert str(caught.value).startswith(str(path))


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no PAMAP2 here; expected Protocol/subject101\.dat"):
        pamap2(tmp_path).names()
    with pytest.raises(RecordingError, match="'subject101' is not a recording of PAMAP2"):
        pamap2(tmp_path).load("subject101")
