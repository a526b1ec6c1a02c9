"""People and activities whose names are spelt in two ways: one person on both sides of a test, one activity as two."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from datamodules.recording import Recording
from datamodules.sources.manifest import Manifest, ManifestError, ManifestParams

MANIFEST = """
groups:
  g:
    imu:
      - files: "{subject}_{session}.csv"
        time: {rate_hz: 50}
        sensors: {wrist: {acceleration: {columns: [ax, ay, az], unit: g}}}
    labels: {column: label}
"""
ZOE = "Zo\u00eb"
APART = unicodedata.normalize("NFD", ZOE)  # as macOS stores the names of files


def study(folder: Path, files: dict[str, str], manifest: str = MANIFEST) -> Manifest:
    """Recordings of four rows, by their names, each with one label."""
    for name, label in files.items():
        (folder / f"{name}.csv").write_text("ax,ay,az,label\n" + f"0,0.1,1,{label}\n" * 4, encoding="utf-8")
    (folder / "m.yaml").write_text(manifest, encoding="utf-8")
    return Manifest(ManifestParams(str(folder / "m.yaml")))


@pytest.mark.parametrize("other", ["p01", "P 01", "\uff3001"])  # the last one in letters of double width
def test_a_person_in_two_spellings_is_refused(other: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as error:
        study(tmp_path, {"P01_1": "sit", f"{other}_2": "sit"}).names()
    said = str(error.value)
    assert "groups.g.subject" in said
    assert "P01_1.csv" in said  # both files
    assert f"{other}_2.csv" in said
    assert "one person would be in training and in the test" in said
    # What the message names helps.
    name, person = (other, "P01") if f"'{other}': 'P01'" in said else ("P01", other)
    manifest = MANIFEST + f"    people: {{'{name}': '{person}'}}\n"
    mended = study(tmp_path, {}, manifest)
    assert {mended.subject_of(name) for name in mended.names()} == {person}


def test_people_whose_names_differ_in_more_are_two(tmp_path: Path) -> None:
    found = study(tmp_path, {"P01_1": "sit", "P1_1": "sit", "P-01_1": "sit"})
    assert len({found.subject_of(name) for name in found.names()}) == 3


def test_an_accent_is_one_letter_however_it_is_stored(tmp_path: Path) -> None:
    found = study(tmp_path, {f"{ZOE}_1": ZOE, f"{APART}_2": APART})
    assert {found.subject_of(name) for name in found.names()} == {ZOE}
    labels = [found.load(name).activities[0].activity for name in found.names()]
    assert labels == [ZOE, ZOE]


@pytest.mark.parametrize(("in_the_file", "in_the_manifest"), [(ZOE, APART), (APART, ZOE)])
def test_names_of_the_manifest_find_either(in_the_file: str, in_the_manifest: str, tmp_path: Path) -> None:
    manifest = MANIFEST.replace("{column: label}", f"{{column: label, names: {{{in_the_manifest}: walking}}}}")
    found = study(tmp_path, {f"{in_the_file}_1": in_the_file}, manifest + f"    people: {{{in_the_manifest}: P7}}\n")
    recording: Recording = found.load(found.names()[0])
    assert recording.subject == "P7"
    assert [i.activity for i in recording.activities] == ["walking"]
