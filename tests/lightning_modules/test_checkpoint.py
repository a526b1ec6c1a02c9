"""Checkpoints that were damaged or made by somebody else: refused in a sentence, or read as they were written."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.equality import same
from helpers.made_training import settings

from lightning_modules.checkpoint import CheckpointError, read_checkpoint
from lightning_modules.pretraining import ImuPretraining


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    module = ImuPretraining(**settings())
    path = tmp_path_factory.mktemp("whole") / "last.ckpt"
    torch.save({"state_dict": module.state_dict(), "hyper_parameters": dict(module.hparams), "global_step": 3}, path)
    return path


def test_a_flipped_bit_is_found_or_touches_nothing(whole: Path, tmp_path: Path) -> None:
    content, written = read_checkpoint(whole), whole.read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "last.ckpt"
    messages = []
    for position, bit in zip(rng.integers(0, len(written), 120), rng.integers(0, 8, 120), strict=True):
        flipped = bytearray(written)
        flipped[position] ^= 1 << bit
        path.write_bytes(flipped)
        try:
            assert same(read_checkpoint(path), content), position  # between the records, where nothing is read
        except CheckpointError as error:
            messages.append(str(error))
    assert len(messages) > 60
    assert all("last.ckpt: " in message and "weights_only" not in message for message in messages)


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9, 0.999])
def test_a_torn_file_is_refused(whole: Path, tmp_path: Path, part: float) -> None:
    written = whole.read_bytes()
    path = tmp_path / "last.ckpt"
    path.write_bytes(written[: int(part * len(written))])
    with pytest.raises(CheckpointError, match=r"last\.ckpt: not a checkpoint, or a torn one"):
        read_checkpoint(path)


class Hostile:
    def __reduce__(self) -> Any:
        return print, ("ran",)


def test_a_file_with_code_in_it_is_refused_and_does_not_run(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": Hostile(), "hyper_parameters": {}}, path)
    with pytest.raises(CheckpointError, match=r"last\.ckpt: not a checkpoint: torch can't read it as data") as e:
        read_checkpoint(path)
    assert "weights_only" not in str(e.value)
    path.write_bytes(pickle.dumps({"state_dict": {}}))
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        read_checkpoint(path)
    assert capsys.readouterr().out == ""


def test_other_archives_and_other_contents_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    with pytest.raises(CheckpointError, match=r"no checkpoint '.*last\.ckpt'"):
        read_checkpoint(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(CheckpointError, match="can't read it as data"):
        read_checkpoint(path)
    torch.save([1, 2], path)
    with pytest.raises(CheckpointError, match="it holds list, expected a dict"):
        read_checkpoint(path)
    torch.save({"state_dict": {}}, path)
    with pytest.raises(CheckpointError, match="'hyper_parameters' missing"):
        read_checkpoint(path, needs=("state_dict", "hyper_parameters"))


@pytest.mark.parametrize(
    "change",
    [
        {"hyper_parameters": []},
        {"hyper_parameters": {"loss": 3}},
        {"state_dict": 3},
        {"state_dict": {"x": torch.ones(1)}},
    ],
)
def test_contents_of_the_wrong_kind_are_refused_when_they_are_used(
    whole: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    torch.save({**read_checkpoint(whole), **change}, tmp_path / "last.ckpt")
    with pytest.raises(CheckpointError, match=r"last\.ckpt: "):
        ImuPretraining.load_pretrained(tmp_path / "last.ckpt")
