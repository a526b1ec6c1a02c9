"""Checkpoints, results and journals on a full disk; locks in a folder that is read-only."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest
import torch
from helpers.small_disk import fill, read_only, small_disk

from core.room import NoSpaceError
from experiments.runtime.checkpoints import DurableCheckpointIO
from experiments.runtime.sole_writer import turn
from experiments.statistics import results


def test_a_checkpoint_that_does_not_fit_leaves_the_last_one(tmp_path: Path) -> None:
    path = tmp_path / "disk" / "last.ckpt"
    with small_disk(tmp_path / "disk") as disk:
        DurableCheckpointIO().save_checkpoint({"w": torch.zeros(10_000)}, path)
        filling = fill(disk, leave=10_000)
        with pytest.raises(NoSpaceError, match=r"last\.ckpt: no space left: it needs more, and .* are free there"):
            DurableCheckpointIO().save_checkpoint({"w": torch.ones(10_000)}, path)
        assert torch.load(path, weights_only=True)["w"].sum() == 0
        filling.unlink()
        DurableCheckpointIO().save_checkpoint({"w": torch.ones(10_000)}, path)
        assert torch.load(path, weights_only=True)["w"].sum() == 10_000
        assert sorted(entry.name for entry in disk.iterdir()) == ["last.ckpt"]


def test_results_that_do_not_fit_leave_nothing_torn(tmp_path: Path) -> None:
    frame = pd.DataFrame({"subject": ["=1+1"] * 5000, "value": [0.123456789] * 5000})
    with small_disk(tmp_path / "disk") as disk:
        filling = fill(disk, leave=20_000)
        with pytest.raises(NoSpaceError, match=r"results\.csv: no space left"):
            results.write(frame, disk)
        assert [entry.name for entry in disk.iterdir()] == ["filling"]
        filling.unlink()
        csv, parquet = results.write(frame, disk)
        assert csv.read_text().splitlines()[1] == "'=1+1,0.123456789"
        assert pd.read_parquet(parquet)["subject"][0] == "=1+1"


def test_a_lock_in_a_read_only_folder_is_not_needed(tmp_path: Path) -> None:
    with read_only(tmp_path), turn(tmp_path / ".lock", "writes"):
        pass
    assert not list(tmp_path.iterdir())
    with turn(tmp_path / ".lock", "writes"):
        assert (tmp_path / ".lock").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody without the right to write")
def test_a_lock_where_this_user_may_not_write_is_not_needed(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)  # pytest's folders are its user's own
    child = os.fork()
    if not child:
        os.setgid(65534)
        os.setuid(65534)
        try:
            with turn(tmp_path / ".lock", "writes"):
                os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not list(tmp_path.iterdir())
