"""Checkpoints that a run may not go on from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.made_training import checkpoint_content, settings

from experiments.runtime import devices
from experiments.runtime.errors import UserError
from experiments.settings.schema import Config
from experiments.training.resume import going_on, steps_done
from lightning_modules.pretraining import ImuPretraining


def write(path: Path, module: ImuPretraining, **changes: Any) -> Path:
    torch.save({**checkpoint_content(module), **changes}, path)
    return path


def test_its_own_checkpoint_tells_its_steps(tmp_path: Path) -> None:
    module = ImuPretraining(**settings())
    assert steps_done(write(tmp_path / "last.ckpt", module), module) == 7


def test_other_settings_are_named_though_the_files_beside_it_agree(tmp_path: Path) -> None:
    module, other = ImuPretraining(**settings()), ImuPretraining(**settings(total_steps=99, seed=4))
    with pytest.raises(
        UserError, match=r"last\.ckpt was trained with other settings \(total_steps was 99, is 10; seed was"
    ):
        steps_done(write(tmp_path / "last.ckpt", other), module)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"global_step": -3}, "damaged: global_step is -3"),
        ({"global_step": "many"}, "damaged: global_step is 'many'"),
        ({"state_dict": {}}, "weights of another model: it has no '"),
        ({"state_dict": [1]}, r"damaged: state_dict is \[1\]"),
        ({"hyper_parameters": {"loss": 3}}, "its settings can't be read"),
    ],
)
def test_damaged_contents_end_in_a_sentence(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    module = ImuPretraining(**settings())
    with pytest.raises(UserError, match=rf"last\.ckpt: {message}"):
        steps_done(write(tmp_path / "last.ckpt", module, **change), module)


def test_a_weight_of_another_shape_is_named(tmp_path: Path) -> None:
    module = ImuPretraining(**settings())
    name, weight = next((k, v) for k, v in module.state_dict().items() if v.ndim == 2)
    weights = {**module.state_dict(), name: torch.zeros(1, *weight.shape)}
    with pytest.raises(UserError, match=rf"'{name}' has shape \(1, "):
        steps_done(write(tmp_path / "last.ckpt", module, state_dict=weights), module)


@pytest.mark.parametrize("computes_in_it", [False, True])
@pytest.mark.parametrize(
    ("noted", "expected"),
    [({}, "32-true"), ({"precision": "bf16-mixed"}, "bf16-mixed"), ({"precision": "32-true"}, "32-true")],
)
def test_a_run_goes_on_in_the_precision_that_it_began_in(
    noted: dict[str, str], expected: str, computes_in_it: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "supports_bf16", lambda config: computes_in_it)
    last = write(tmp_path / "last.ckpt", ImuPretraining(**settings()), **noted)
    config = Config()
    config.trainer.accelerator = "cpu"
    assert going_on(config, last).trainer.precision == expected
    assert config.trainer.precision == "auto"
    config.trainer.precision = "16-mixed"
    assert going_on(config, last).trainer.precision == "16-mixed"  # as the settings say


def test_a_precision_that_is_none_is_refused(tmp_path: Path) -> None:
    last = write(tmp_path / "last.ckpt", ImuPretraining(**settings()), precision="transformer-engine")
    with pytest.raises(UserError, match="damaged: precision is 'transformer-engine'; expected one of 32-true"):
        going_on(Config(), last)
