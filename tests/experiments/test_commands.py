"""The smaller commands: building, checking and looking at shards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib.image
import pytest

from experiments import build_shards, check_shards, preview
from experiments.artifacts.shards import dataset_directory, open_dataset
from experiments.reports.preview.scene import draw_window
from experiments.runtime.errors import UserError
from experiments.settings.schema import Config

Make = Callable[..., Config]


def test_build_then_check_then_damage(
    tiny: Make, tiny_yaml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = [f"paths.data={tmp_path / 'data'}"]
    assert build_shards.main([str(tiny_yaml), *here]) == 0
    directory = dataset_directory(tiny(*here), "pretraining")
    assert check_shards.main([str(directory)]) == 0
    assert "all good" in capsys.readouterr().out
    assert check_shards.main([str(tmp_path / "data")]) == 0  # a folder above finds them
    shard = next(directory.glob("*.h5"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    assert check_shards.main([str(directory)]) == 1
    assert shard.name in capsys.readouterr().err


def test_a_folder_without_shards_is_no_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_shards.main([str(tmp_path)]) == 1
    assert str(tmp_path) in "".join(capsys.readouterr())


def test_other_settings_go_to_another_folder(tiny: Make) -> None:
    assert dataset_directory(tiny(), "pretraining") == dataset_directory(tiny("optim.lr=1"), "pretraining")
    assert dataset_directory(tiny(), "pretraining") != dataset_directory(tiny("window.frames=3"), "pretraining")
    with pytest.raises(UserError, match=r"no data set 'x'.*pretraining"):
        dataset_directory(tiny(), "x")


def test_a_source_that_is_not_there_is_explained(
    tiny_yaml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = [f"paths.data={tmp_path}", "datasets.pretraining.source.name=utd_mhad"]
    missing.append("datasets.pretraining.source.params={root: " + str(tmp_path / "nowhere") + "}")
    path = tmp_path / "other.yaml"
    path.write_text("datasets: {pretraining: {camera: depth}}\n")
    assert build_shards.main([str(path), *missing]) == 1
    message = capsys.readouterr().err
    assert "data set 'pretraining'" in message
    assert "nowhere" in message
    assert "Traceback" not in message


def test_preview_draws_each_recording(tiny: Make) -> None:
    config = tiny()
    paths = preview.run(config)
    assert len(paths) == 2
    for path in paths:
        assert matplotlib.image.imread(path).shape[1] > 1000
    shards = open_dataset(config, "pretraining")
    figure = draw_window(shards, 0)
    film, acceleration, rate = figure.axes
    assert len(film.images) >= 3
    assert len(acceleration.lines) == 5  # three axes, their norm, gravity
    assert len(rate.lines) == 3
    assert "simulated" in figure.get_suptitle()


def test_a_folder_that_cannot_be_made_is_told_in_words(
    tiny_yaml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert build_shards.main([str(tiny_yaml), f"paths.data={tmp_path / 'file' / 'data'}"]) == 1
    assert f"Not a directory: '{tmp_path / 'file'}" in capsys.readouterr().err
