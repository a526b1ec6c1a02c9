from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.made_sets import REALWORLD_START, motion, realworld_text, write_realworld, zipped

from datamodules.formats import zip_archive
from datamodules.recording import RecordingError
from datamodules.sources.realworld import RealWorld, RealWorldParams
from datamodules.windows.checks import check_recording

NAMES = ["proband4_climbingup_1", "proband4_climbingup_2", "proband4_walking_2"]


def realworld(root: Path, **params: Any) -> RealWorld:
    return RealWorld(RealWorldParams(str(root), **params))


def test_archives_and_archives_in_them_are_read(tmp_path: Path) -> None:
    write_realworld(tmp_path)
    source = realworld(tmp_path)
    assert source.names() == NAMES
    assert realworld(tmp_path / "realworld2016_dataset", subjects=["proband4"]).names() == NAMES
    for name in NAMES:
        check_recording(source.load(name))
        assert source.subject_of(name) == "proband4"


def test_each_place_has_its_own_stamps(tmp_path: Path) -> None:
    write_realworld(tmp_path)
    recording = realworld(tmp_path).load("proband4_walking_2")
    chest, arm = recording.imus
    assert (chest.placement, arm.placement) == ("chest", "upper_arm")
    np.testing.assert_allclose(chest.times, np.arange(200) / 50, atol=1e-6)
    np.testing.assert_allclose(arm.times, 1 + np.arange(200) / 50, atol=1e-6)
    # Six decimals were written; at equal times interpolation changes nothing.
    np.testing.assert_allclose(chest.values, motion(200), atol=1e-6)
    assert np.isnan(arm.values[:, 3:]).all()
    assert [(i.activity, i.start, round(i.end, 6)) for i in recording.activities] == [("walking", 0.0, 4.98)]


def test_a_slower_gyroscope_is_interpolated_and_never_over_a_gap(tmp_path: Path) -> None:
    write_realworld(tmp_path)
    (shin,) = realworld(tmp_path).load("proband4_climbingup_2").imus
    turning = motion(200)[:, 3:]
    np.testing.assert_allclose(shin.values[:199:2, 3:], turning[::2], atol=1e-6)
    assert np.isfinite(shin.values[:199, 3:]).all()
    assert np.isnan(shin.values[199, 3:]).all()  # the gyroscope had ended
    folder = tmp_path / "realworld2016_dataset" / "proband4" / "data"
    lines = realworld_text(turning).splitlines(keepends=True)
    text = "".join(lines[:51] + lines[101:])
    (folder / "gyr_walking_csv.zip").write_bytes(zipped({"Gyroscope_walking_2_chest.csv": text}))
    chest = realworld(tmp_path).load("proband4_walking_2").imu("chest")
    assert np.isnan(chest.values[:, 3]).nonzero()[0].tolist() == list(range(50, 100))
    assert np.isfinite(chest.values[:, :3]).all()


def test_of_one_stamp_the_first_sample_is_kept_and_the_others_counted(tmp_path: Path) -> None:
    path = write_realworld(tmp_path)
    lines = realworld_text(motion(100)[:, :3]).splitlines(keepends=True)
    path.write_bytes(zipped({"acc_walking_2_chest.csv": "".join([*lines[:20], lines[19], *lines[20:]])}))
    recording = realworld(tmp_path).load("proband4_walking_2")
    assert len(recording.imus[0].times) == 100
    assert recording.metadata == {"repeated_stamps": 1}
    np.testing.assert_allclose(recording.imus[0].repeated, [0.36], atol=1e-6)


def changed(old: str, new: str, count: int = -1) -> str:
    return realworld_text(motion(50)[:, :3]).replace(old, new, count)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (changed("attr_time", "time"), r"acc_walking_2_chest\.csv, line 1: the header is 'id,time"),
        (changed(f"{REALWORLD_START + 40}", f"{REALWORLD_START + 10}"), "line 4: the time .* expected ascending"),
        (changed("\n3,", "\n3,3,"), "line 5: 6 columns"),
        (changed("\n3,", "\nx,"), "line 5: 'x,.*expected 5 numbers"),
        (realworld_text(motion(50)[:, :3], step_ms=20_000_000), "is attr_time in ms"),
        (realworld_text(motion(50)[:, :3] / 9.80665), "these look like g"),
        (realworld_text(motion(1)[:, :3]), "rate is 0 Hz"),
        ("", "there is nothing in it"),
    ],
)
def test_what_contradicts_the_description_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = write_realworld(tmp_path)
    path.write_bytes(zipped({"acc_walking_2_chest.csv": text}))
    with pytest.raises(RecordingError, match=says) as caught:
        realworld(tmp_path).load("proband4_walking_2")
    assert str(caught.value).startswith(str(path))


def test_two_files_of_one_place_are_refused(tmp_path: Path) -> None:
    path = write_realworld(tmp_path)
    text = realworld_text(motion(50)[:, :3])
    path.write_bytes(zipped({"acc_walking_chest.csv": text, "acc_walking_1_chest.csv": text}))
    with pytest.raises(
        RecordingError, match=r"acc_walking_1_chest\.csv: the same part, 1, and place as .*acc_walking_chest\.csv"
    ):
        realworld(tmp_path).names()


def test_what_is_not_there_or_damaged_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"no RealWorld here; expected proband1/data/acc_walking_csv\.zip"):
        realworld(tmp_path).names()
    path = write_realworld(tmp_path)
    with pytest.raises(RecordingError, match=r"acc_lying_csv\.zip: not there"):
        realworld(tmp_path).load("proband4_lying_1")
    with pytest.raises(RecordingError, match="no file of part 7"):
        realworld(tmp_path).load("proband4_walking_7")
    with pytest.raises(RecordingError, match="'proband4_flying_1' is not a recording"):
        realworld(tmp_path).load("proband4_flying_1")
    monkeypatch.setattr(zip_archive, "LARGEST_BYTES", 1000)
    with pytest.raises(RecordingError, match="MiB unpacked; expected at most"):
        realworld(tmp_path).load("proband4_walking_2")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(RecordingError, match="not a readable zip archive"):
        realworld(tmp_path).load("proband4_walking_2")
