"""Studies in which a recording is there twice, a person has two names, or a file holds two sensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.made_tables import MANIFEST, turning

from datamodules.recording import FloatArray
from experiments import check_import
from experiments.reports.manifest.copies import find_copies, marks_of

MANY = MANIFEST.replace('"{subject}.csv"', '"{subject}_{session}.csv"')


def write(path: Path, values: FloatArray, rate: float = 100.0, first_s: float = 0.0) -> None:
    rows = np.column_stack([first_s + np.arange(len(values)) / rate, values])
    np.savetxt(path, rows, "%.5f", ",", header="t,ax,ay,az,gx,gy,gz", comments="")


def said(folder: Path, manifest: str = MANY) -> list[str]:
    """Problems and notes of a study without labels and videos."""
    (folder / "m.yaml").write_text(manifest)
    _, remarks = check_import.run(folder / "m.yaml")
    return [("PROBLEM " if remark.problem else "note ") + remark.text for remark in remarks]


def person(seed: int, n: int = 3000) -> FloatArray:
    """The sensor of `turning`, with noise of its own."""
    return turning(n)[1] + np.random.default_rng(seed).normal(0, 0.01, (n, 6))


def test_one_movement_under_two_people_is_said(tmp_path: Path) -> None:
    write(tmp_path / "P1_1.csv", person(1))
    write(tmp_path / "P2_1.csv", person(2))
    assert not said(tmp_path)
    write(tmp_path / "P3_1.csv", person(1), first_s=500.0)  # stamped anew
    (text,) = said(tmp_path)
    assert text.startswith("note g: P1_1 and P3_1 hold the same samples (100% of the shorter one)")
    assert "under two people, 'P1' and 'P3'" in text


def test_an_export_that_holds_the_one_before_is_noted(tmp_path: Path) -> None:
    whole = person(1, 6000)
    write(tmp_path / "P1_1.csv", whole[:2500])
    write(tmp_path / "P1_2.csv", whole)
    write(tmp_path / "P1_3.csv", person(3))
    (text,) = said(tmp_path)
    assert text.startswith("note g: P1_1 and P1_2 hold the same samples (100% of the shorter one) of 'P1'")


def test_copies_are_found_in_long_recordings_and_short_ones() -> None:
    day = np.random.default_rng(0).normal(size=(100_000, 6)).round(3)
    week = np.random.default_rng(1).normal(size=(300_000, 6)).round(3)
    joined = np.concatenate([week[:50_000], day[20_000:60_000], week[50_000:]])
    (shared,) = find_copies([marks_of(day), marks_of(week[:90]), marks_of(joined)])
    assert (shared.one, shared.other) == (0, 2)
    # 40 % of the day; 2,048 marks, of which some 530 of the week's compare, tell it to 0.1 (four standard errors).
    assert shared.share == pytest.approx(0.4, abs=0.1)
    (shared,) = find_copies([marks_of(day[:90]), marks_of(day[:90])])
    assert shared.share == 1.0


def test_what_rests_or_hangs_is_no_copy() -> None:
    still = np.tile([0, 0, 9.81, 0, 0, 0], (5000, 1))
    lost = np.full((5000, 6), np.nan)
    tapped = [still.copy(), still.copy()]
    for seed, values in enumerate(tapped):
        values[2000:2200] += np.random.default_rng(seed).normal(size=(200, 6))
    assert not list(find_copies([marks_of(v) for v in (still, still, lost, lost, *tapped, still[:5])]))
    assert not list(find_copies([]))


def test_people_whose_names_differ_in_zeros_are_noted(tmp_path: Path) -> None:
    for i, name in enumerate(("P01", "P1", "P10", "P2")):
        write(tmp_path / f"{name}_1.csv", person(i))
    assert said(tmp_path) == [
        "note the people 'P01', 'P1' differ in zeros or signs only: if they are one, 'people' makes them so"
    ]


@pytest.mark.parametrize("apart_s", [0.0, 0.003, 0.005])
def test_two_sensors_in_one_file_are_a_problem(apart_s: float, tmp_path: Path) -> None:
    one, other = person(1), person(2)[:, [2, 0, 1, 5, 3, 4]]
    times = (np.arange(3000)[:, None] / 100 + [0.0, apart_s]).ravel()
    rows = np.column_stack([times, np.stack([one, other], axis=1).reshape(-1, 6)])
    np.savetxt(tmp_path / "P1_1.csv", rows, "%.5f", ",", header="t,ax,ay,az,gx,gy,gz", comments="")
    assert any(
        text.startswith("PROBLEM g, wrist: P1_1: the rows jump between 2 levels, as if 2 sensors took turns")
        for text in said(tmp_path)
    )
