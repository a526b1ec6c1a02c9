from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.made_sets import motion, write_hapt

from datamodules.recording import RecordingError
from datamodules.sources.hapt import Hapt, HaptParams
from datamodules.windows.checks import check_recording


def hapt(root: Path, **params: Any) -> Hapt:
    return Hapt(HaptParams(str(root), **params))


def test_an_experiment_is_read_with_its_labels(tmp_path: Path) -> None:
    write_hapt(tmp_path)
    recording = hapt(tmp_path).load("exp01_user01")
    check_recording(recording)
    (stream,) = recording.imus
    np.testing.assert_allclose(stream.values, motion(250, 1), rtol=1e-6, atol=1e-6)  # eight digits were written
    np.testing.assert_allclose(stream.times, np.arange(250) / 50)
    assert (stream.placement, recording.subject) == ("waist", "user01")
    # Samples 11 to 100, counted from 1: from the eleventh on to where sample 101 is.
    assert [(i.activity, i.start, i.end) for i in recording.activities] == [
        ("standing", 0.2, 2.0),
        ("stand_to_sit", 2.0, 3.0),
        ("sitting", 3.0, 4.0),
    ]


def test_names_and_people(tmp_path: Path) -> None:
    folder = write_hapt(tmp_path)
    assert hapt(tmp_path).names() == ["exp01_user01", "exp02_user01", "exp10_user05"]
    assert hapt(folder.parent, subjects=["user05"]).names() == ["exp10_user05"]
    assert hapt(tmp_path).load("exp10_user05").activities == ()


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ("1 1 5 0 100\n", r"line 1: samples 0 to 100; expected some of 1 to 250"),
        ("\n1 1 5 1 251\n", r"line 2: samples 1 to 251"),
        ("1 1 5 90 80\n", "samples 90 to 80"),
        ("1 1 13 1 80\n", "the activity is 13; expected 1 to 12"),
        ("1 2 5 1 80\n", "experiment 1 is of user 2; expected user 1"),
        ("1 1 5 1\n", "line 1: 4 columns"),
        ("1 1 5 1 8.5\n", "expected 5 whole numbers"),
    ],
)
def test_labels_that_cannot_be_are_refused(tmp_path: Path, labels: str, says: str) -> None:
    folder = write_hapt(tmp_path)
    (folder / "labels.txt").write_text(labels)
    with pytest.raises(RecordingError, match=says) as caught:
        hapt(tmp_path).load("exp01_user01")
    assert str(caught.value).startswith(str(folder / "labels.txt"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0 1 0\n0 nan 0\n", "line 2: '0 nan 0'; expected 3 numbers"),
        ("0 1 0\n0 1_0 0\n", "line 2: '0 1_0 0'; expected 3 numbers"),
        ("0 1 0\n0 1\n", "line 2: 2 columns"),
        ("0 1 0\n", "1 samples; expected 250, as in gyro_exp01_user01.txt"),
        ("0 9.81 0\n" * 250, "these look like m/s.2, scaled as g"),
    ],
)
def test_signals_that_cannot_be_are_refused(tmp_path: Path, text: str, says: str) -> None:
    folder = write_hapt(tmp_path)
    (folder / "acc_exp01_user01.txt").write_text(text)
    with pytest.raises(RecordingError, match=says):
        hapt(tmp_path).load("exp01_user01")


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no HAPT here; expected RawData/acc_exp01_user01\.txt"):
        hapt(tmp_path).names()
    folder = write_hapt(tmp_path)
    (folder / "gyro_exp01_user01.txt").unlink()
    with pytest.raises(RecordingError, match=r"gyro_exp01_user01\.txt: not there"):
        hapt(tmp_path).load("exp01_user01")
    with pytest.raises(RecordingError, match="'user01' is not an experiment"):
        hapt(tmp_path).load("user01")
