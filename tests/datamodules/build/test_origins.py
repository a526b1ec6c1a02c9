"""Files that changed after shards were built from them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from core.durable import TEMPORARY
from datamodules.build.origins import NOTES, SOURCES, ChangedSourceError, refuse_changed
from datamodules.build.run import build
from datamodules.privacy.key import make_key
from datamodules.privacy.pseudonyms import is_pseudonym
from datamodules.privacy.source import SourceInputs
from datamodules.shards import layout
from datamodules.windows.settings import WindowSettings

SETTINGS = WindowSettings(duration_s=1.0, stride_s=1.0, frames=0)
MANIFEST = """
groups:
  all:
    imu:
      - files: "imu-{subject}.csv"
        time: {column: t, unit: s}
        sensors:
          wrist: {acceleration: {columns: [x, y, z], unit: m/s^2}}
    labels: {files: "labels-{subject}.csv"}
"""


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "manifest.yaml").write_text(MANIFEST, encoding="utf-8")
    rng = np.random.default_rng(0)
    for subject in ("one", "two"):
        rows = [f"{i / 50:.2f},{x:.3f},{y:.3f},9.810" for i, (x, y) in enumerate(rng.normal(size=(250, 2)))]
        (folder / f"imu-{subject}.csv").write_text("\n".join(["t,x,y,z", *rows, ""]), encoding="utf-8")
        (folder / f"labels-{subject}.csv").write_text("start,end,activity\n0,5,walk\n", encoding="utf-8")
    return folder


def built(raw: Path, directory: Path, key: str | Path = "") -> None:
    build("manifest", {"path": str(raw / "manifest.yaml")}, directory, SETTINGS, workers=1, key=key)


@pytest.mark.parametrize("content", ["", '{"recording": "two", "files"'])
def test_a_note_that_a_killed_process_left_half_written_is_passed_over(raw: Path, tmp_path: Path, content: str) -> None:
    directory = tmp_path / "shards"

    def leave(done: int, total: int) -> None:
        if done == 1:  # beside the note of a finished recording
            (directory / NOTES / f"{TEMPORARY}0123-4567.json").write_text(content, encoding="utf-8")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build("manifest", {"path": str(raw / "manifest.yaml")}, directory, SETTINGS, workers=1, progress=leave)
    refuse_changed(directory)
    built(raw, directory)
    assert not (directory / NOTES).exists()
    noted = json.loads((directory / SOURCES).read_text(encoding="utf-8"))["files"]
    assert {Path(name).name for name in noted} == {
        "imu-one.csv", "imu-two.csv", "labels-one.csv", "labels-two.csv",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["imu-one.csv", "imu-two.csv", "labels-one.csv"])
def test_a_changed_file_is_named(raw: Path, tmp_path: Path, name: str) -> None:
    built(raw, tmp_path / "shards")
    assert not (tmp_path / "shards" / NOTES).exists()
    refuse_changed(tmp_path / "shards")
    path = raw / name
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole.replace("0", "1", 1), encoding="utf-8")  # of the same size
    os.utime(path, (1, 1))
    for refused in (refuse_changed, lambda directory: built(raw, directory)):
        with pytest.raises(ChangedSourceError, match=rf"{name} has changed since the shards in .*shards were built"):
            refused(tmp_path / "shards")
    path.write_text(whole, encoding="utf-8")
    refuse_changed(tmp_path / "shards")


@pytest.mark.parametrize("name", ["imu-one.csv", "labels-two.csv"])
def test_under_pseudonyms_a_change_is_noticed_and_nothing_is_told_of_the_file(
    raw: Path, tmp_path: Path, name: str
) -> None:
    directory, key, path = tmp_path / "shards", tmp_path / "the.key", raw / name
    make_key(key)
    built(raw, directory, key)
    noted = (directory / SOURCES).read_text(encoding="utf-8")
    rows = json.loads(noted)["files"]
    assert len(rows) == 4
    for hidden, known in rows.items():  # no name, no path, no size, no time, no digest that others could compute
        assert all(is_pseudonym(text) for text in (hidden, *known.values()))
    built(raw, directory, key)
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole.replace("0", "1", 1), encoding="utf-8")  # of the same size
    os.utime(path, (1, 1))
    with pytest.raises(ChangedSourceError, match=r"a file of recording r-[a-z2-7]{20} has changed since") as refused:
        built(raw, directory, key)
    assert name not in str(refused.value)
    path.write_text(whole, encoding="utf-8")
    built(raw, directory, key)  # copied anew, with another time
    path.unlink()
    refuse_changed(directory, SourceInputs("manifest", {"path": str(raw / "manifest.yaml")}, str(key)).open())
    refuse_changed(directory)  # where the key is not


def test_what_was_only_copied_or_is_elsewhere_is_no_fault(raw: Path, tmp_path: Path) -> None:
    built(raw, tmp_path / "shards")
    os.utime(raw / "imu-one.csv", (1, 1))
    (raw / "imu-two.csv").unlink()
    refuse_changed(tmp_path / "shards")


def test_a_change_between_two_parts_of_an_interrupted_build_is_noticed(raw: Path, tmp_path: Path) -> None:
    directory = tmp_path / "shards"
    built(raw, directory)
    # As a killed build leaves it: a note of a recording, no index.
    content = json.loads((directory / SOURCES).read_text(encoding="utf-8"))
    (directory / NOTES).mkdir()
    (directory / NOTES / "one.json").write_text(json.dumps(content), encoding="utf-8")
    (directory / SOURCES).unlink()
    (directory / layout.INDEX).unlink()
    (raw / "imu-one.csv").write_text("t,x,y,z\n", encoding="utf-8")
    with pytest.raises(ChangedSourceError, match=r"one\.csv has changed"):
        built(raw, directory)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"files": {"a": 3}}', b"\xff", b"[" * 100_000])
def test_damaged_notes_end_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / SOURCES).write_bytes(content)
    with pytest.raises(ChangedSourceError, match=r"sources\.json: damaged: not the files"):
        refuse_changed(tmp_path)
