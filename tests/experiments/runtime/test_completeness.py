"""Checkpoints that count as the result of a whole training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from experiments.runtime.completeness import ENDED, IncompleteError, incomplete, mark_ended, refuse_incomplete

OLD = Path(__file__).parents[2] / "data" / "run-0.1" / "checkpoints" / "last.ckpt"


def saved(path: Path, step: object, total: object = 1400) -> Path:
    torch.save({"state_dict": {}, "hyper_parameters": {"total_steps": total}, "global_step": step}, path)
    return path


def test_the_steps_tell(tmp_path: Path) -> None:
    last = tmp_path / "last.ckpt"
    assert incomplete(saved(last, 7)) == "step 7 of 1,400"
    assert incomplete(saved(last, 1400)) == ""
    assert incomplete(saved(last, "?")) == ""  # of another program, which says nothing
    with pytest.raises(IncompleteError, match=r"last\.ckpt: step 7 of 1,400: .*evaluation\.allow_incomplete=true"):
        refuse_incomplete(saved(last, 7), False)
    assert refuse_incomplete(last, True) == "step 7 of 1,400"


def test_a_training_that_ended_early_by_its_own_settings_is_complete_until_it_goes_on(tmp_path: Path) -> None:
    last = saved(tmp_path / "last.ckpt", 300)
    mark_ended(last, 300, 1400)
    assert incomplete(last) == ""
    saved(last, 350)  # it went on, and was stopped
    assert incomplete(last) == "step 350 of 1,400"
    (tmp_path / ENDED).write_text('{"step": 35')
    assert incomplete(last) == "step 350 of 1,400"


def test_the_best_of_a_complete_run_is_complete(tmp_path: Path) -> None:
    best = saved(tmp_path / "best.ckpt", 700)
    assert incomplete(best) == "step 700 of 1,400"
    saved(tmp_path / "last.ckpt", 800)
    assert incomplete(best) == "step 700 of 1,400"
    saved(tmp_path / "last.ckpt", 1400)
    assert incomplete(best) == ""


def test_a_run_of_version_0_1_is_judged_by_its_steps(tmp_path: Path) -> None:
    content = torch.load(OLD, weights_only=True)
    total = content["hyper_parameters"]["total_steps"]
    assert incomplete(OLD) == f"step {content['global_step']} of {total}"
    content["global_step"] = total
    torch.save(content, tmp_path / "last.ckpt")
    assert incomplete(tmp_path / "last.ckpt") == ""
