from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.made_sets import FOG_STAR_CODES, FOG_STAR_HEADER, fog_star_rows, fog_star_text, motion, write_fog_star

from datamodules.recording import RecordingError
from datamodules.sources.fog_star import PLACEMENTS, FogStar, FogStarParams
from datamodules.windows.checks import check_recording

NAME = "subject1_session1_task1"


def fog_star(root: Path, **params: Any) -> FogStar:
    return FogStar(FogStarParams(str(root), **params))


def test_four_sensors_and_the_labels_are_read(tmp_path: Path) -> None:
    write_fog_star(tmp_path)
    recording = fog_star(tmp_path).load(NAME)
    check_recording(recording)
    assert [s.placement for s in recording.imus] == list(PLACEMENTS)
    for i, stream in enumerate(recording.imus):
        np.testing.assert_allclose(stream.values, motion(195, i), rtol=1e-8, atol=1e-8)  # ten digits were written
        np.testing.assert_allclose(stream.times, np.arange(195) / 60, atol=1e-5)
    assert [(i.activity, round(i.start, 3), round(i.end, 3)) for i in recording.activities] == [
        ("sitting", 0.0, 0.5),
        ("sit_to_stand", 0.5, 1.5),
        ("walking", 1.5, 2.5),
        ("freezing", 2.5, 3.0),
    ]
    assert (recording.subject, recording.population) == ("1", "parkinson")
    assert recording.metadata == {"task": "timed_up_and_go"}


def test_stamps_in_seconds_are_told_by_the_rate(tmp_path: Path) -> None:
    write_fog_star(tmp_path, fog_star_rows(FOG_STAR_CODES, 1, step=1 / 60))
    np.testing.assert_allclose(fog_star(tmp_path).load(NAME).imus[0].times, np.arange(195) / 60, atol=1e-4)


def test_names_and_people(tmp_path: Path) -> None:
    write_fog_star(tmp_path)
    assert fog_star(tmp_path).names() == [NAME, "subject1_session1_task7", "subject12_session2_task2"]
    assert fog_star(tmp_path, subjects=["12"]).names() == ["subject12_session2_task2"]
    assert fog_star(tmp_path).subject_of("subject12_session2_task2") == "12"


def test_a_sensor_that_was_off_and_lost_samples(tmp_path: Path) -> None:
    rows = fog_star_rows(FOG_STAR_CODES, 1)
    for i, row in enumerate(rows):
        row[19:25] = [np.nan] * 6  # the wrist
        if i == 7:
            row[1] = np.nan
    write_fog_star(tmp_path, rows)
    recording = fog_star(tmp_path).load(NAME)
    assert [s.placement for s in recording.imus] == ["left_ankle", "right_ankle", "lower_back"]
    assert recording.metadata["off"] == "wrist"
    assert np.flatnonzero(np.isnan(recording.imus[0].values).any(axis=1)).tolist() == [7]


def edited(column: int, value: Any, at: int = 5) -> str:
    rows = fog_star_rows(FOG_STAR_CODES, 1)
    rows[at][column] = value
    return fog_star_text(rows)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (edited(25, 8), "row 6 below the header, column 'activity': expected one of 0, 1, 2"),
        (edited(26, 2), "column 'fog': expected one of 0, 1"),
        (edited(28, 1.5), "column 'subjectID': expected a whole number"),
        (edited(0, np.nan), "row 6 below the header, column 'timestamp': expected a number"),
        (edited(0, 1e5), "line 7: timestamp 100000 follows"),
        (
            fog_star_text(fog_star_rows(FOG_STAR_CODES, 1, step=10)),
            r"the step between timestamps is 10; expected 16.7",
        ),
        (FOG_STAR_HEADER.replace("back_acc_x", "back_x") + "\n1\n", "no column 'back_acc_x'"),
        (FOG_STAR_HEADER + "\n", "no samples below the header"),
        (FOG_STAR_HEADER + "\n1,2\n", "line 2"),
    ],
)
def test_what_contradicts_the_description_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "sensor_data.csv"
    path.write_text(text)
    with pytest.raises(RecordingError, match=says) as caught:
        fog_star(tmp_path).load(NAME)
    assert str(caught.value).startswith(str(path))


def test_other_units_are_refused(tmp_path: Path) -> None:
    rows = [[*row[:1], *(9.80665 * v for v in row[1:25]), *row[25:]] for row in fog_star_rows(FOG_STAR_CODES, 1)]
    write_fog_star(tmp_path, rows)
    with pytest.raises(RecordingError, match=r"IMU at left_ankle: .*these look like m/s.2, scaled as g"):
        fog_star(tmp_path).load(NAME)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no FoG-STAR here; expected sensor_data\.csv"):
        fog_star(tmp_path).names()
    write_fog_star(tmp_path)
    with pytest.raises(RecordingError, match="0 samples of subject9_session1_task1"):
        fog_star(tmp_path).load("subject9_session1_task1")
    with pytest.raises(RecordingError, match="'subject1' is not a recording"):
        fog_star(tmp_path).load("subject1")
