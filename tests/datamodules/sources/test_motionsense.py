from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.made_sets import MOTIONSENSE_HEADER, MOTIONSENSE_ROWS, write_motionsense

from datamodules.recording import STANDARD_GRAVITY, RecordingError
from datamodules.sources.motionsense import MotionSense, MotionSenseParams
from datamodules.windows.checks import check_recording


def sense(root: Path, **params: Any) -> MotionSense:
    return MotionSense(MotionSenseParams(str(root), **params))


def rows(
    gravity: tuple[float, float, float],
    user: tuple[float, float, float],
    n: int = 60,
    turning: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> str:
    return "".join(f"{i},0,0,0,{','.join(map(str, (*gravity, *turning, *user)))}\n" for i in range(n))


def test_the_publishers_first_rows(tmp_path: Path) -> None:
    write_motionsense(tmp_path)
    recording = sense(tmp_path).load("dws_1_sub_1")
    check_recording(recording)
    (stream,) = recording.imus
    np.testing.assert_allclose(
        stream.values[0],
        [
            -(-0.176977 - 0.060221) * STANDARD_GRAVITY,
            -(0.949187 + 1.576174) * STANDARD_GRAVITY,
            -(0.260222 - 0.091292) * STANDARD_GRAVITY,
            -7.204869,
            2.267762,
            0.103529,
        ],
        rtol=1e-12,
    )
    np.testing.assert_allclose(stream.times, [0, 0.02, 0.04, 0.06])
    assert (stream.placement, recording.subject) == ("trouser_pocket", "sub_1")
    assert [(i.activity, i.end) for i in recording.activities] == [("stairs_down", 0.08)]


def test_a_phone_that_lies_face_up_measures_gravity_upwards(tmp_path: Path) -> None:
    """Core Motion then has gravity (0, 0, -1)."""
    write_motionsense(tmp_path, rows((0, 0, -1), (0, 0, 0)))
    (stream,) = sense(tmp_path).load("wlk_7_sub_2").imus
    np.testing.assert_allclose(stream.values[:, :3], np.tile([0, 0, STANDARD_GRAVITY], (60, 1)))


def test_in_free_fall_nothing_is_measured(tmp_path: Path) -> None:
    """The accelerometer reads 0, which Core Motion splits into gravity and its opposite."""
    write_motionsense(tmp_path, rows((0, 0, -1), (0, 0, 1)))
    (stream,) = sense(tmp_path).load("wlk_7_sub_2").imus
    assert (stream.values[:, :3] == 0).all()


def test_names_are_of_the_first_folder_alone(tmp_path: Path) -> None:
    write_motionsense(tmp_path)
    assert sense(tmp_path).names() == ["dws_1_sub_1", "dws_1_sub_10", "wlk_7_sub_2"]
    assert sense(tmp_path, subjects=["sub_2"]).names() == ["wlk_7_sub_2"]
    assert sense(tmp_path / "A_DeviceMotion_data" / "A_DeviceMotion_data").names()[0] == "dws_1_sub_1"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (MOTIONSENSE_HEADER.replace("gravity.z", "g.z") + "\n" + MOTIONSENSE_ROWS, "no column 'gravity.z'"),
        (MOTIONSENSE_HEADER + "\n0,1,2\n", "line 2"),
        (MOTIONSENSE_HEADER + "\n", "0 samples; expected at least 2"),
        (MOTIONSENSE_HEADER + "\n" + rows((0, 0, -9.81), (0, 0, 0)), "these look like m/s.2, scaled as g"),
        (MOTIONSENSE_HEADER + "\n" + rows((0, 0, -1), (0, 0, 0), turning=(200, 0, 0)), "these look like deg/s"),
    ],
)
def test_what_contradicts_the_description_is_refused(tmp_path: Path, content: str, says: str) -> None:
    path = write_motionsense(tmp_path)
    path.write_text(content)
    with pytest.raises(RecordingError, match=says) as caught:
        sense(tmp_path).load("dws_1_sub_1")
    assert str(caught.value).startswith(str(path))


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no MotionSense here; expected A_DeviceMotion_data/dws_1/sub_1\.csv"):
        sense(tmp_path).names()
    write_motionsense(tmp_path)
    with pytest.raises(RecordingError, match=r"sub_1\.csv"):
        sense(tmp_path).load("dws_2_sub_1")
    with pytest.raises(RecordingError, match="'run_1_sub_1' is not a trial of MotionSense"):
        sense(tmp_path).load("run_1_sub_1")
