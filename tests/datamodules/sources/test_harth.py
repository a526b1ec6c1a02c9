from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.made_sets import HARTH_HEADER, harth_rows, motion, write_harth

from datamodules.recording import RecordingError
from datamodules.sources.harth import Harth, HarthParams
from datamodules.windows.checks import check_recording


def harth(root: Path, **params: Any) -> Harth:
    return Harth(HarthParams(str(root), **params))


def test_two_accelerometers_and_the_labels_are_read(tmp_path: Path) -> None:
    write_harth(tmp_path)
    recording = harth(tmp_path).load("S006")
    check_recording(recording)
    assert [s.placement for s in recording.imus] == ["lower_back", "right_thigh"]
    for i, stream in enumerate(recording.imus):
        np.testing.assert_allclose(stream.values[:, :3], motion(150, i)[:, :3], atol=1e-5)  # six digits of g
        assert np.isnan(stream.values[:, 3:]).all()
        # A double keeps seconds since 1970 to a quarter of a microsecond.
        np.testing.assert_allclose(stream.times, np.arange(150) / 50, atol=1e-6)
    found = [(i.activity, round(i.start, 5), round(i.end, 5)) for i in recording.activities]
    assert found == [("standing", 0.0, 1.2), ("walking", 1.2, 3.0)]


@pytest.mark.parametrize("index", ["index", ""])
def test_a_file_with_an_index_is_the_same(tmp_path: Path, index: str) -> None:
    path = write_harth(tmp_path)
    plain = harth(tmp_path).load("S006")
    rows = path.read_text().splitlines()
    path.write_text("\n".join([f"{index},{rows[0]}", *(f"{i},{row}" for i, row in enumerate(rows[1:]))]))
    indexed = harth(tmp_path).load("S006")
    np.testing.assert_array_equal(plain.imus[1].values, indexed.imus[1].values)
    assert plain.activities == indexed.activities


def test_stamps_with_nine_decimals_are_read(tmp_path: Path) -> None:
    path = write_harth(tmp_path)
    rows = [HARTH_HEADER, *(row.replace(",", "000000,", 1) for row in harth_rows([1] * 50))]
    path.write_text("\n".join(rows))
    np.testing.assert_allclose(harth(tmp_path).load("S006").imus[0].times, np.arange(50) / 50, atol=1e-6)


def test_gaps_stay_and_labels_end_at_them(tmp_path: Path) -> None:
    path = write_harth(tmp_path)
    later = harth_rows([1] * 50, start=datetime(2019, 1, 12, 0, 1))
    path.write_text("\n".join([HARTH_HEADER, *harth_rows([1] * 50), *later]))
    recording = harth(tmp_path).load("S006")
    assert np.diff(recording.imus[0].times).max() == pytest.approx(59.02, abs=1e-5)
    found = [(i.activity, round(i.start, 5), round(i.end, 5)) for i in recording.activities]
    assert found == [("walking", 0.0, 1.0), ("walking", 60.0, 61.0)]


def test_of_one_stamp_the_first_sample_is_kept(tmp_path: Path) -> None:
    path = write_harth(tmp_path)
    rows = harth_rows([1] * 50)
    path.write_text("\n".join([HARTH_HEADER, *rows[:10], rows[9], *rows[10:]]))
    recording = harth(tmp_path).load("S006")
    assert len(recording.imus[0].times) == 50
    check_recording(recording)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows: rows[::-1], "expected ascending stamps"),
        (lambda rows: [rows[0], rows[1].replace("2019-01-12 00", "yesterday"), *rows[2:]], "the time is 'yesterday"),
        (lambda rows: [*rows[:2], rows[2][:-1] + "9", *rows[3:]], "the activity is '9'"),
        (lambda rows: [*rows[:2], rows[2] + ",1"], "line 4"),
        (lambda rows: rows[:1], "1 samples; expected at least 2"),
    ],
)
def test_what_contradicts_the_description_is_refused(tmp_path: Path, change: Callable[[Any], Any], says: str) -> None:
    path = write_harth(tmp_path)
    path.write_text("\n".join([HARTH_HEADER, *change(harth_rows([1] * 60))]))
    with pytest.raises(RecordingError, match=says) as caught:
        harth(tmp_path).load("S006")
    assert str(caught.value).startswith(str(path))


def test_names_and_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no HARTH here; expected S006\.csv"):
        harth(tmp_path).names()
    path = write_harth(tmp_path)
    (path.parent / "S029.csv").write_text(path.read_text())
    (path.parent / "notes.csv").write_text("")
    assert harth(tmp_path).names() == ["S006", "S029"]
    assert harth(path.parent, subjects=["S029"]).names() == ["S029"]
    with pytest.raises(RecordingError, match="'notes' is not a recording of HARTH"):
        harth(tmp_path).load("notes")
