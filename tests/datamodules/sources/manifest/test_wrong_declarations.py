"""Manifests that a table contradicts without a number that looks wrong: rates, columns, files that are missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datamodules.recording import RecordingError
from datamodules.sources.manifest import Manifest, ManifestError, ManifestParams

MANIFEST = """
groups:
  g:
    imu:
      - files: "{subject}.csv"
        time: {rate_hz: 50}
        sensors:
          wrist:
            acceleration: {columns: [ax, ay, az], unit: g}
            gyroscope: {columns: [gx, gy, gz], unit: deg/s}
"""
HEADER = "ax,ay,az,gx,gy,gz"


def write(path: Path, header: str = HEADER, first: list[str] | None = None, rows: int = 200) -> None:
    """Rows of a sensor that turns; ``first`` is what stands in a first column."""
    values = np.random.default_rng(0).normal(0, 0.1, (rows, 6)) + np.array([0, 0, 1, 0, 0, 0])
    lines = [",".join(f"{v:.4f}" for v in row) for row in values]
    lines = [f"{a},{line}" for a, line in zip(first, lines, strict=True)] if first else lines
    path.write_text("\n".join([header, *lines]) + "\n")


def notes(folder: Path, manifest: str = MANIFEST) -> str:
    """What is said of the only recording."""
    (folder / "m.yaml").write_text(manifest)
    source = Manifest(ManifestParams(str(folder / "m.yaml")))
    return str(source.load(source.names()[0]).metadata.get("import_notes", ""))


def stamps(rate: float, unit: str) -> list[str]:
    seconds = np.arange(200) / rate
    if unit == "iso8601":
        return [f"2024-05-01T10:00:{s:09.6f}" for s in seconds]
    return [f"{s * {'s': 1, 'ms': 1000, 'us': 1e6}[unit]:.6g}" for s in seconds]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "iso8601"])
def test_a_rate_that_unread_stamps_contradict_is_said(unit: str, tmp_path: Path) -> None:
    write(tmp_path / "P1.csv", f"Timestamp,{HEADER}", stamps(100, unit))
    said = notes(tmp_path)
    assert "P1.csv: column 'Timestamp', which is not read" in said
    assert f"100 Hz in {unit}" in said
    assert "the declared rate is 50 Hz" in said
    assert not notes(tmp_path, MANIFEST.replace("50", "100"))
    assert not notes(tmp_path, MANIFEST.replace("50", "98"))  # a sensor's clock is not exact


def test_lost_samples_show_in_the_average(tmp_path: Path) -> None:
    lines = stamps(50, "s")
    lines[150:] = [f"{float(s) + 2:g}" for s in lines[150:]]  # two seconds without a row
    write(tmp_path / "P1.csv", f"t,{HEADER}", lines)
    assert "were samples lost?" in notes(tmp_path)


@pytest.mark.parametrize(
    "first", [list(map(str, range(200))), ["7"] * 200, ["?"] * 200, list(map(str, range(200, 0, -1)))]
)
def test_a_column_that_holds_no_times_says_nothing(first: list[str], tmp_path: Path) -> None:
    write(tmp_path / "P1.csv", f"time,{HEADER}", first)
    assert not notes(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "twice"),
    [
        ("[ax, ay, az]", "[ax, ay, ay]", "ay"),
        ("[gx, gy, gz]", "[ax, ay, az]", "ax"),
        ("[gx, gy, gz]", "[5, 5, 6]", "5"),
    ],
)
def test_a_column_that_stands_for_two_axes_is_refused(old: str, new: str, twice: str, tmp_path: Path) -> None:
    write(tmp_path / "P1.csv")
    with pytest.raises(
        ManifestError, match=rf"groups\.g\.imu\.0\.sensors\.wrist: column '?{twice}'? stands for two axes"
    ):
        notes(tmp_path, MANIFEST.replace(old, new))


CONCAT = MANIFEST.replace('"{subject}.csv"', '"{subject}_{chunk}.csv"\n        concat: chunk')


def test_a_missing_file_between_others_is_refused_where_no_stamps_show_it(tmp_path: Path) -> None:
    for chunk in ("1", "2", "10"):
        write(tmp_path / f"P1_{chunk}.csv")
    assert not notes(tmp_path, CONCAT)  # 8 missing of 3: no numbers one behind the other
    for chunk in ("3", "4", "5", "6", "8", "9"):
        write(tmp_path / f"P1_{chunk}.csv")
    with pytest.raises(
        RecordingError, match=r"recording P1: concat: .*P1_8\.csv follows P1_6\.csv: .* 1 is missing, the first is 7"
    ):
        notes(tmp_path, CONCAT)
    write(tmp_path / "P1_7.csv")
    assert not notes(tmp_path, CONCAT)


@pytest.mark.parametrize("chunks", [("20240131", "20240201"), ("a", "c"), ("01", "02")])
def test_other_names_of_files_are_no_gap(chunks: tuple[str, str], tmp_path: Path) -> None:
    for chunk in chunks:
        write(tmp_path / f"P1_{chunk}.csv")
    assert not notes(tmp_path, CONCAT)
