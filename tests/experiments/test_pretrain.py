"""Pretraining as its users run it; test_pretrain_distributed.py has several processes."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from helpers.equality import weights_of
from helpers.waiting import Waiting
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from encoders.registry import imu_encoders
from experiments.pretrain import run
from experiments.runtime.errors import UserError
from experiments.runtime.training_bar import TrainingBar
from experiments.settings.layers import ConfigError
from experiments.settings.load import load
from experiments.settings.schema import Config
from lightning_modules.checkpoint import CheckpointError
from lightning_modules.pretraining import ImuPretraining

Make = Callable[..., Config]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("complete")


@pytest.fixture(scope="module")
def whole(tiny_in: Make, runs: Path) -> Path:
    """The checkpoint of a run that nothing interrupted, with all that it logs."""
    return run(tiny_in(runs, "trainer.loggers=[tensorboard]"))


@pytest.mark.slow
def test_bfloat16_learns_what_32_bits_learn(whole: Path, tiny: Make) -> None:
    """As on any GPU that has it: mixed precision, a fused optimiser and clipped gradients."""
    config = tiny("trainer.precision=bf16-mixed")
    assert config.optim.gradient_clip == 1.0
    content = torch.load(run(config), weights_only=True)
    assert content["precision"] == "bf16-mixed"
    low, high = content["state_dict"], torch.load(whole, weights_only=True)["state_dict"]
    assert low.keys() == high.keys()
    assert all(weight.dtype == high[name].dtype for name, weight in low.items())
    # Both went the same way from the same start. Rounding to 8 bits in each step leads them a little apart.
    first = run(tiny("run.name=first", "optim.lr=1e-12", "optim.min_lr=0"))
    start = torch.load(first, weights_only=True)["state_dict"]
    one, other = (
        torch.cat([(state[name] - start[name]).flatten() for name in start if start[name].is_floating_point()])
        for state in (low, high)
    )
    assert torch.cosine_similarity(one, other, dim=0) > 0.8


def test_a_run_leaves_what_the_readme_promises(whole: Path, runs: Path) -> None:
    folder = runs / "tiny" / "default"
    assert whole == folder / "checkpoints" / "last.ckpt"
    assert (folder / "checkpoints" / "best.ckpt").is_file()
    assert (folder / "config.yaml").is_file()
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    expected = {
        "training/loss",
        "training/contrastive_loss",
        "training/order_loss",
        "training/consistency_loss",
        "training/gradient_norm",
        "training/windows_per_s",
        "training_resources/data_wait_share",
        "training_resources/memory_gb",
        "training_parameters/temperature",
        "training_parameters/bias",
        "validation/imu_to_video/recall@1",
        "validation/imu_to_video/recall@5",
        "validation/video_to_imu/recall@1",
        "validation/video_to_imu/recall@5",
        "validation/pool_size",
        "validation/alignment_error_ms",
    }
    assert expected <= set(events.Tags()["scalars"])
    assert any(tag.startswith("training/learning_rate") for tag in events.Tags()["scalars"])
    images = {"validation/similarity", "validation/alignment", "validation_clips/window 1"}
    assert images <= set(events.Tags()["images"])
    assert {tag.partition("/")[0] for tag in events.Tags()["scalars"]} == {
        "training",
        "training_parameters",
        "training_resources",
        "validation",
    }
    clip = events.Images("validation_clips/window 1")[0].encoded_image_string
    with Image.open(io.BytesIO(clip)) as moving:
        assert moving.format == "GIF"
        assert getattr(moving, "n_frames", 1) >= 3


def test_the_projector_has_a_row_and_a_picture_for_each_held_out_window(whole: Path, runs: Path) -> None:
    folder = runs / "tiny" / "default" / "tensorboard"
    (metadata,) = folder.glob("*/*/metadata.tsv")
    header, *rows = metadata.read_text().splitlines()
    assert header.split("\t")[:3] == ["activity", "subject", "device"]
    features = (metadata.parent / "tensors.tsv").read_text().splitlines()
    assert len(features) == len(rows) > 5
    assert {row.split("\t")[1] for row in rows} <= {"sim_h_000", "sim_h_001"}
    with Image.open(metadata.parent / "sprite.png") as sprite:
        side = math.ceil(math.sqrt(len(rows)))
        assert sprite.size == (side * 48, side * 48)
    assert "sprite" in (folder / "projector_config.pbtxt").read_text()


def test_the_default_experiment_is_validated_more_than_four_times() -> None:
    trainer = load("simulator").trainer
    assert trainer.max_epochs // trainer.validate_every > 4


def test_a_checkpoint_can_be_used_without_the_experiment(whole: Path) -> None:
    module = ImuPretraining.load_pretrained(whole)
    assert not module.training
    subjects = module.hparams["pretraining_subjects"]
    assert len(subjects) == 2
    assert all(s.startswith("simulator/sim_h_") for s in subjects)
    assert module.hparams["simulated"] is True
    embedding = module.embed_imu(torch.randn(3, 200, 6), torch.ones(3, 6).bool(), torch.ones(3, 200).bool())
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(3), atol=1e-5, rtol=0)  # float32 norms
    # Frozen: nothing of the video encoder is in the checkpoint.
    assert not any("backbone" in name for name in module.state_dict())


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match=r"x\.ckpt.*hyper_parameters"):
        ImuPretraining.load_pretrained(tmp_path / "x.ckpt")


def test_a_start_says_what_is_trained_and_what_is_not(
    tiny_in: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tiny_in(tmp_path, "trainer.kwargs.fast_dev_run=true"))
    said = " ".join(capsys.readouterr().err.split())
    for words in (
        r"pretraining on \d+ windows of 1 recording, 1 subject \(SIMULATED\)",
        r"trained, from random weights: IMU encoder cnn_transformer \([\d,]+ parameters\), video head temporal",
        r"frozen: video encoder vit \([\d,]+ parameters\), weights random, never trained; its features are cached",
        r"training: 4 epochs, \d+ steps, 8 windows a batch, on 1 thread of the CPU, 32-true",
    ):
        assert re.search(words, said), words


def test_a_step_waits_for_the_device_nowhere(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does what surrounds it: augmentation, clipping, the optimiser, callbacks, the bar between its readings."""
    found: list[str] = []
    advance = _TrainingEpochLoop.advance

    def watched(self: _TrainingEpochLoop, *arguments: object) -> None:
        with Waiting() as waiting:
            advance(self, *arguments)  # type: ignore[arg-type]
        found.extend(waiting.found)

    monkeypatch.setattr(_TrainingEpochLoop, "advance", watched)
    monkeypatch.setattr(TrainingBar.__init__, "__defaults__", (math.inf,))
    run(tiny("trainer.max_epochs=1", "trainer.log_every=1000", "trainer.loggers=[tensorboard]"))
    assert found == []


@pytest.mark.slow
def test_a_compiled_encoder_trains_the_same_and_its_checkpoints_fit_either_way(
    tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``eager`` traces as ``inductor`` does, but compiles no kernels, which takes a compiler and many minutes."""
    compiled_by = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: compiled_by(module, backend="eager"))
    settings = ("imu_encoder.params.dropout=0.0", "trainer.max_epochs=2")
    plain = run(tiny("run.name=plain", *settings))
    config = tiny("run.name=compiled", "trainer.compile=true", "trainer.checkpoint_every_steps=1", *settings)
    compiled = run(config)
    a, b = weights_of(plain), weights_of(compiled)
    assert a.keys() == b.keys()
    for name in a:
        # Fused kernels round otherwise, and AdamW makes whole steps of gradients that are all rounding.
        torch.testing.assert_close(a[name], b[name], atol=2e-2, rtol=2e-2, msg=name)
    ImuPretraining.load_pretrained(compiled)
    assert (
        run(tiny("run.name=compiled", "trainer.checkpoint_every_steps=1", *settings)) == compiled
    )  # done, not refused


def test_accumulating_nothing_is_refused(tiny: Make) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.accumulate: expected a number at least 1, found 0"):
        tiny("trainer.accumulate=0")


def test_statistics_of_features_need_a_cache(tiny: Make) -> None:
    with pytest.raises(UserError, match=r"input_norm is 'standard'.*video_encoder.cache is false; expected 'layer'"):
        run(tiny("video_encoder.cache=false"))


@pytest.mark.slow
def test_clips_can_be_encoded_in_every_step(tiny: Make) -> None:
    live = run(tiny("video_encoder.cache=false", "run.name=live", "video_head.params.input_norm=layer"))
    cached = run(tiny("run.name=cached", "video_head.params.input_norm=layer"))
    a, b = weights_of(live), weights_of(cached)
    for name in b:
        # Cached features are halves: 4 epochs of steps apart by their rounding.
        torch.testing.assert_close(a[name], b[name], atol=2e-2, rtol=2e-2)


def test_a_batch_that_can_not_be_shared_is_refused(tiny: Make) -> None:
    with pytest.raises(UserError, match="which 3 processes can't share evenly"):
        run(tiny("trainer.devices=3"))
    with pytest.raises(UserError, match=r"batch_size is 500, but there are only \d+ training windows"):
        run(tiny("pretraining.batch_size=500"))


def test_a_queue_of_neighbours_longer_than_an_epoch_is_refused(tiny: Make) -> None:
    with pytest.raises(UserError, match=r"queue_size is 4096, but an epoch has \d+ windows: the nearest neighbour"):
        run(tiny("system=primus", "loss.neighbours.queue_size=4096"))


@pytest.mark.parametrize("name", sorted(imu_encoders()))
def test_every_encoder_can_be_pretrained(tiny_yaml: Path, shared_data: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / "own.yaml"  # the tiny experiment without the settings of its own encoder
    content = yaml.safe_load(tiny_yaml.read_text())
    content["imu_encoder"] = {"name": name}
    path.write_text(yaml.safe_dump(content))
    config = load(str(path), [f"paths.data={shared_data}", f"paths.runs={tmp_path}", "trainer.max_epochs=1"])
    config.experiment = "tiny"
    module = ImuPretraining.load_pretrained(run(config))
    assert module.hparams["imu_encoder"]["name"] == name
