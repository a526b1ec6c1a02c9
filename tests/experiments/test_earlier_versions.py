"""Runs and checkpoints of version 0.1 go on under this version."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from experiments.pretrain import run
from experiments.runtime.errors import UserError
from experiments.runtime.run_folder import run_folder
from experiments.settings.load import load_saved, plain
from experiments.settings.schema import Config
from lightning_modules.pretraining import ImuPretraining

OLD = Path(__file__).parents[1] / "data" / "run-0.1"
# The settings that the run was begun with, by their names of today.
SETTINGS = (
    "run.name=old",
    "trainer.precision=auto",
    "shared_space.width=16",
    "loss.alignment={weight: 0.25, width: 8}",
    "loss.order={count: 8, width: 8}",
    "loss.consistency.weight=0",
    "video_head.params={width: 8, depth: 1, heads: 2, input_norm: standard}",
    "imu_encoder.params={width: 8, depth: 1, heads: 2, stem_channels: [4, 8]}",
)


def test_a_run_is_continued_to_the_weights_that_it_would_have_had(tiny: Callable[..., Config]) -> None:
    config = tiny(*SETTINGS)
    shutil.copytree(OLD, run_folder(config))
    last = run(config)
    content = torch.load(last, weights_only=True)
    assert content["global_step"] == 12
    expected = json.loads((OLD / "final.json").read_text())
    found = {name: float(value.double().abs().sum()) for name, value in content["state_dict"].items()}
    # Another processor sums in another order: float32's rounding over a dozen steps.
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_other_settings_are_still_refused(tiny: Callable[..., Config]) -> None:
    config = tiny(*SETTINGS, "loss.order.count=9")
    shutil.copytree(OLD, run_folder(config))
    with pytest.raises(UserError, match=r"loss\.order\.count was 8, is 9"):
        run(config)


def test_a_checkpoint_has_the_settings_that_it_was_trained_with() -> None:
    model = ImuPretraining.load_pretrained(OLD / "checkpoints" / "last.ckpt")
    loss, space = model.settings.loss, model.settings.shared_space
    assert list(model.objectives) == ["contrastive", "alignment", "order"]
    assert (loss.contrastive.pairs, loss.alignment.weight, loss.order.weight) == ("sigmoid", 0.25, 0.5)
    assert (loss.alignment.width, loss.order.width, loss.order.count, space.width) == (8, 8, 8, 16)
    assert model.settings.optim.lr == 1e-3


def test_saved_settings_are_those_of_today(tiny: Callable[..., Config]) -> None:
    saved = plain(load_saved(OLD / "config.yaml"))
    today = plain(tiny(*SETTINGS, "trainer.loggers=[tensorboard]"))
    # Settings that are newer than the run have their defaults; what follows is where things lie.
    for name in ("loss", "shared_space", "optim", "pretraining", "imu_encoder", "video_head", "window", "trainer"):
        assert saved[name] == today[name]
    assert saved["video_encoder"] == today["video_encoder"]


@pytest.mark.parametrize(
    ("contrastive", "pairs", "weights"),
    [("softmax", "softmax", (1, 0)), ("distillation", "sigmoid", (0, 1)), ("none", "sigmoid", (0, 0))],
)
def test_every_contrastive_of_old(tmp_path: Path, contrastive: str, pairs: str, weights: tuple[int, int]) -> None:
    content = yaml.safe_load((OLD / "config.yaml").read_text())
    content["loss"]["contrastive"] = contrastive
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
    loss = load_saved(tmp_path / "config.yaml").loss
    assert loss.contrastive.pairs == pairs
    assert (loss.contrastive.weight, loss.distillation.weight) == weights
    assert (loss.neighbours.queue_size, loss.distillation.queue_size) == (4096, 4096)
