from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.made_sets import WEARGAIT_EVENTS, motion, weargait_text, write_weargait_pd

from datamodules.recording import RecordingError
from datamodules.sources.weargait_pd import WearGaitPd, WearGaitPdParams, activity_name
from datamodules.windows.checks import check_recording

NAME = "NLS002_SelfPace_matTURN"


def weargait(root: Path, **params: Any) -> WearGaitPd:
    return WearGaitPd(WearGaitPdParams(str(root), **params))


@pytest.mark.parametrize("sec", [" sec", ""])
@pytest.mark.parametrize("above", ["", "a line above the header,,\n"])
def test_sensors_and_labels_are_read(tmp_path: Path, sec: str, above: str) -> None:
    path = write_weargait_pd(tmp_path)
    path.write_text(above + weargait_text(WEARGAIT_EVENTS, sec=sec))
    recording = weargait(tmp_path).load(NAME)
    check_recording(recording)
    by_place = {"lower_back": 0, "right_wrist": 1, "left_shank": 2}
    assert {s.placement for s in recording.imus} == set(by_place)
    for stream in recording.imus:
        np.testing.assert_allclose(stream.values, motion(400, by_place[stream.placement]), atol=1e-6)  # six decimals
        np.testing.assert_allclose(stream.times, np.arange(400) / 100, atol=1e-9)
    assert [(i.activity, round(i.start, 6), round(i.end, 6)) for i in recording.activities] == [
        ("standing", 0.0, 0.5),
        ("walk", 0.5, 2.5),
        ("turn", 2.5, 3.5),
    ]
    assert (recording.subject, recording.population) == ("NLS002", "parkinson")
    assert recording.metadata == {"task": "SelfPace_matTURN"}


def test_names_people_and_populations(tmp_path: Path) -> None:
    write_weargait_pd(tmp_path)
    assert weargait(tmp_path).names() == [NAME, "WHC010_TUG"]
    assert weargait(tmp_path, subjects=["WHC010"]).names() == ["WHC010_TUG"]
    assert weargait(tmp_path).load("WHC010_TUG").population == "control"


@pytest.mark.parametrize(
    ("event", "name"),
    [
        ("SitToStand", "sit_to_stand"),
        ("Sit-to-Stand", "sit_to_stand"),
        ("Walk", "walk"),
        ("TUG trial2", "tug_trial_2"),
        ("StandingEO", "standing_eo"),
        ("???", "???"),
    ],
)
def test_names_of_events(event: str, name: str) -> None:
    assert activity_name(event) == name


def test_a_sensor_that_was_off_or_has_no_gyroscope(tmp_path: Path) -> None:
    path = write_weargait_pd(tmp_path)
    lines = [line.split(",") for line in weargait_text(["Walk"] * 300).splitlines()]
    for line in lines[1:]:
        line[10:16] = ["NaN"] * 6  # the wrist
    for line in lines:
        del line[19:22]  # the shank's gyroscope
    path.write_text("\n".join(map(",".join, lines)))
    recording = weargait(tmp_path).load(NAME)
    check_recording(recording)
    assert {s.placement for s in recording.imus} == {"lower_back", "left_shank"}
    assert recording.metadata["off"] == "right_wrist"
    assert np.isnan(recording.imu("left_shank").values[:, 3:]).all()


def test_missing_lines_stay_a_gap(tmp_path: Path) -> None:
    path = write_weargait_pd(tmp_path)
    lines = weargait_text(["Walk"] * 400).splitlines()
    path.write_text("\n".join(lines[:101] + lines[201:]))
    assert np.diff(weargait(tmp_path).load(NAME).imus[0].times).max() == pytest.approx(1.01)


TEXT = weargait_text(WEARGAIT_EVENTS)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (TEXT.replace("Time,", "Clock,"), "line 1: found 'Clock' first; expected a header that begins with Time"),
        (TEXT.replace("GeneralEvent", "Event"), "no column 'GeneralEvent'"),
        (TEXT.replace("Acc_X", "FreeAcc_E"), "line 1: no columns of any IMU"),
        (TEXT.replace("\n0.02 sec", "\n0.02 min"), "line 4: Time is '0.02 min'"),
        (TEXT.replace("\n0.02 sec", "\n0.01 sec"), "line 4: Time 0.01 s follows 0.01 s"),
        (TEXT.replace("\n0.02 sec,", "\n0.02 sec,,,"), "line 4"),
        (TEXT.replace("\n0.", "\n0"), "expected ascending|expected 100 Hz"),
        (TEXT.split("\n")[0], "0 samples; expected at least 2"),
        ("", "found 'nothing' first"),
    ],
)
def test_what_contradicts_the_description_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = write_weargait_pd(tmp_path)
    path.write_text(text)
    with pytest.raises(RecordingError, match=says) as caught:
        weargait(tmp_path).load(NAME)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("part", "scale", "says"), [(slice(0, 3), 1 / 9.8, "like g"), (slice(3, 6), 400, "like deg/s")]
)
def test_other_units_are_refused(tmp_path: Path, part: slice, scale: float, says: str) -> None:
    path = write_weargait_pd(tmp_path)
    lines = [line.split(",") for line in TEXT.splitlines()]
    for line in lines[1:]:
        line[4 + part.start : 4 + part.stop] = [str(float(v) * scale) for v in line[4 + part.start : 4 + part.stop]]
    path.write_text("\n".join(map(",".join, lines)))
    with pytest.raises(RecordingError, match=f"IMU at lower_back: .*these look {says}"):
        weargait(tmp_path).load(NAME)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no WearGait-PD here; expected NLS002_SelfPace\.csv"):
        weargait(tmp_path).names()
    path = write_weargait_pd(tmp_path)
    with pytest.raises(RecordingError, match="no file NLS003_TUG"):
        weargait(tmp_path).load("NLS003_TUG")
    with pytest.raises(RecordingError, match="'P1_TUG' is not a recording"):
        weargait(tmp_path).load("P1_TUG")
    (tmp_path / path.name).write_text(TEXT)
    with pytest.raises(RecordingError, match="the same name as"):
        weargait(tmp_path).names()
