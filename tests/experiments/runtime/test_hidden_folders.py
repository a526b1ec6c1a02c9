"""Checkpoints of a private run do not say where they lie, and resume where they lie now."""

from __future__ import annotations

from pathlib import Path

import torch

from experiments.runtime.checkpoints import DurableCheckpointIO
from experiments.runtime.hidden_folders import with_folder, without_folder


def test_a_folder_is_taken_out_and_another_put_in(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    state = {
        "dirpath": str(old),
        "best": {f"{old}/a.ckpt": torch.tensor(0.5)},
        "paths": [f"{old}/b.ckpt", "", f"{old}er/c.ckpt", ("x", 3)],
        "none": None,
    }
    hidden = without_folder(state, old)
    assert str(old) + "/" not in str(hidden)
    assert hidden["paths"][2:] == [f"{old}er/c.ckpt", ("x", 3)]  # only begins alike
    assert with_folder(hidden, old) == state
    assert with_folder(hidden, new)["best"] == {f"{new}/a.ckpt": torch.tensor(0.5)}


def test_a_checkpoint_keeps_the_folder_only_if_asked(tmp_path: Path) -> None:
    content = {"callbacks": {"ModelCheckpoint": {"dirpath": str(tmp_path)}}, "state_dict": {"w": torch.ones(2)}}
    for hide in (False, True):
        path = tmp_path / f"{hide}.ckpt"
        writer = DurableCheckpointIO(hide)
        writer.save_checkpoint(content, path)
        assert (str(tmp_path).encode() in path.read_bytes()) is not hide
        assert writer.load_checkpoint(path)["callbacks"] == content["callbacks"]
