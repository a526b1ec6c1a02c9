from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.made_sets import DEGREE, G, motion, write_usc_had

from datamodules.recording import RecordingError
from datamodules.sources.usc_had import ACTIVITIES, UscHad, UscHadParams
from datamodules.windows.checks import check_recording


def had(root: Path, **params: Any) -> UscHad:
    return UscHad(UscHadParams(str(root), **params))


def test_a_trial_is_read_in_si_units(tmp_path: Path) -> None:
    write_usc_had(tmp_path)
    recording = had(tmp_path).load("Subject1_a4t2")
    check_recording(recording)
    (stream,) = recording.imus
    np.testing.assert_allclose(stream.values, motion(500), rtol=1e-12)
    np.testing.assert_array_equal(np.diff(stream.times).round(12), 0.01)
    assert (stream.placement, recording.subject, recording.metadata) == ("right_hip", "Subject1", {"trial": 2})
    assert stream.acceleration_range == pytest.approx(6 * G)
    assert stream.angular_velocity_range == pytest.approx(500 * DEGREE)
    assert [(i.start, i.end, i.activity) for i in recording.activities] == [(0.0, 5.0, "stairs_up")]


def test_names_are_in_natural_order_and_of_whom_is_wanted(tmp_path: Path) -> None:
    for subject, activity in ((10, 1), (2, 12), (2, 3)):
        write_usc_had(tmp_path, subject, activity, 1)
    assert had(tmp_path).names() == ["Subject2_a3t1", "Subject2_a12t1", "Subject10_a1t1"]
    assert had(tmp_path / "USC-HAD", subjects=["Subject10"]).names() == ["Subject10_a1t1"]
    with pytest.raises(ValueError, match="no recording of subjects Subject3"):
        had(tmp_path, subjects=["Subject3"]).names()
    assert had(tmp_path).subject_of("Subject10_a1t1") == "Subject10"


def test_the_other_spelling_of_the_activity_is_read(tmp_path: Path) -> None:
    write_usc_had(tmp_path, activity_number=None, activity_numbr="4")
    assert had(tmp_path).load("Subject1_a4t2").activities[0].activity == ACTIVITIES[4]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"activity_number": "5"}, "activity_number is 5; expected 4, as its name says"),
        ({"activity_number": "four"}, "activity_number is 'four'; expected a number"),
        ({"activity_number": None}, "no variable 'activity_number'; it has: sensor_readings, subject, title, trial"),
        ({"sensor_readings": None}, "no variable 'sensor_readings'"),
        ({"sensor_readings": np.zeros((9, 5))}, r"float64 \(9, 5\); expected numbers \(N, 6\)"),
        ({"sensor_readings": "text"}, "expected numbers"),
        ({"sensor_readings": motion(500)}, "these look like m/s.2, scaled as g"),
    ],
)
def test_what_contradicts_the_description_is_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    path = write_usc_had(tmp_path, **changes)
    with pytest.raises(RecordingError, match=says) as caught:
        had(tmp_path).load("Subject1_a4t2")
    assert str(caught.value).startswith(str(path))


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no USC-HAD here; expected Subject1/a1t1\.mat"):
        had(tmp_path).names()
    with pytest.raises(RecordingError, match=r"a1t1\.mat: not there"):
        had(tmp_path).load("Subject1_a1t1")
    with pytest.raises(RecordingError, match="'Subject1_a13t1' is not a trial"):
        had(tmp_path).load("Subject1_a13t1")
    path = write_usc_had(tmp_path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RecordingError, match="truncated: 100 bytes"):
        had(tmp_path).load("Subject1_a4t2")
