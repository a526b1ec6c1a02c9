"""The made-up study: its files hold what the simulator measured, and the folder is filled whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import yaml

from datamodules.sources.manifest import Manifest, ManifestParams
from experiments import check_import, example_study
from experiments.settings.load import load


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two patients of 20 s, with video."""
    folder = tmp_path_factory.mktemp("made") / "study"
    folder.mkdir()
    recordings = example_study.simulate(2, 20.0, frame_rate=6.0)
    example_study.write_recordings(folder, recordings, size=64)
    (folder / "manifest.yaml").write_text(example_study.manifest_text("study"))
    return folder


def test_the_files_hold_what_was_measured(study: Path) -> None:
    source = Manifest(ManifestParams(str(study / "manifest.yaml")))
    assert source.names() == ["P01_1", "P02_1"]
    for name, simulated in zip(source.names(), example_study.simulate(2, 20.0, frame_rate=6.0), strict=True):
        read = source.load(name)
        zero = simulated.videos[0].frame_times()[0]
        (stream,) = simulated.imus
        later = stream.times >= zero
        # Written with 3 decimals of a millisecond, 5 of g and of deg/s.
        np.testing.assert_allclose(read.imus[0].times, stream.times[later] - zero, atol=1e-6)
        np.testing.assert_allclose(read.imus[0].values, stream.values[later], atol=6e-5)
        # MP4 counts in ticks of 1/90000 s or of the file's own scale, at least a thousand a second.
        shown = simulated.videos[0].frame_times() - zero
        np.testing.assert_allclose(read.videos[0].frame_times(), shown, atol=1e-3)
        assert [i.activity for i in read.activities] == [i.activity for i in simulated.activities if i.end > zero]
        assert read.activities[-1].end == pytest.approx(simulated.activities[-1].end - zero, abs=1e-3)
        assert read.simulated
        assert read.population == "parkinson"


def test_the_pictures_are_those_of_the_simulator(study: Path) -> None:
    simulated = example_study.simulate(2, 20.0, frame_rate=6.0)[0].videos[0]
    read = Manifest(ManifestParams(str(study / "manifest.yaml"))).load("P01_1").videos[0]
    some = np.array([0, 40, 100])
    for sharp, coded in zip(simulated.read(some, 64, 64), read.read(some, 64, 64), strict=True):
        # H.264 at its default quality: some grey levels of 255, where another moment differs by tens.
        assert np.abs(sharp.astype(float) - coded).mean() < 8


def test_videos_are_written_by_a_package_that_is_installed_with_the_project(study: Path) -> None:
    with av.open(str(study / "video" / "P01_1.mp4")) as file:
        assert file.streams.video[0].codec_context.name == "h264"
    source = Path(example_study.__file__).read_text(encoding="utf-8")
    assert "imageio" not in source


def test_the_command_writes_a_study_that_is_plausible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert example_study.main(["study", "--without-video", "--seconds", "30"]) == 0
    assert "next: python -m experiments.check_import study/manifest.yaml" in capsys.readouterr().out
    files = sorted(str(path.relative_to("study")) for path in Path("study").rglob("*") if path.is_file())
    tables = [f"{kind}/P0{number}_1.csv" for kind in ("imu", "labels") for number in (1, 2, 3, 4)]
    assert files == sorted([*tables, "experiment.yaml", "manifest.yaml"])
    assert check_import.main(["study/manifest.yaml"]) == 0
    assert "All plausible." in capsys.readouterr().out
    config = load("study/experiment.yaml")
    assert config.datasets["pretraining"].camera == ""
    assert config.loss.contrastive.weight == 0
    assert config.loss.consistency.weight > 0


@pytest.mark.parametrize("video", [True, False])
@pytest.mark.parametrize("folder", ["study", 'data/its: own "name"'])
def test_the_experiment_finds_the_manifest(tmp_path: Path, folder: str, video: bool) -> None:
    path = tmp_path / "experiment.yaml"
    path.write_text(example_study.experiment_text(folder, video))
    config = load(str(path))
    for key, dataset in config.datasets.items():
        assert dataset.source.params == {"path": f"{folder}/manifest.yaml"}
        assert bool(dataset.camera) == (video and key == "pretraining")
    assert config.datasets["target"].subjects == ["P02", "P03"]
    manifest = yaml.safe_load(example_study.manifest_text(folder, video))
    assert ("videos" in manifest["groups"]["clinic"]) == video


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert example_study.main([str(tmp_path), "--without-video"]) == 1
    assert "not empty: notes.txt; expected one that is empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    assert example_study.main([str(tmp_path / "notes.txt"), "--without-video"]) == 1
    assert "this is a file" in capsys.readouterr().err


def test_a_study_that_was_broken_off_leaves_nothing_and_can_be_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "study"
    real = example_study.write_recordings

    def full(*arguments: Any, **more: Any) -> None:
        real(*arguments, **more)
        raise OSError(28, "No space left on device", "study/imu")

    monkeypatch.setattr(example_study, "write_recordings", full)
    assert example_study.main([str(folder), "--without-video", "--seconds", "20"]) == 1
    assert "no space left" in capsys.readouterr().err
    assert list(folder.iterdir()) == []
    monkeypatch.undo()
    (folder / ".part-of-a-killed-one").mkdir()
    assert example_study.main([str(folder), "--without-video", "--seconds", "20"]) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["experiment.yaml", "imu", "labels", "manifest.yaml"]


@pytest.mark.parametrize("seconds", ["1", "1e9", "nan", "soon"])
def test_a_length_that_makes_no_sense_is_a_wrong_command_line(tmp_path: Path, seconds: str) -> None:
    with pytest.raises(SystemExit) as end:
        example_study.main([str(tmp_path / "study"), "--seconds", seconds])
    assert end.value.code == 2
    assert not (tmp_path / "study").exists()


def test_the_help_says_what_is_written() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "experiments.example_study", "--help"], capture_output=True, text=True, check=True
    )
    assert "--without-video" in done.stdout
    assert "DIR" in done.stdout
