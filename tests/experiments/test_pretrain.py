"""Pretraining as its users run it: fresh, interrupted, killed; test_pretrain_distributed.py has several processes."""

from __future__ import annotations

import io
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from helpers.waiting import Waiting
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from encoders.registry import imu_encoders
from experiments.pretrain import main, run
from experiments.runtime.errors import UserError
from experiments.runtime.run_folder import LAST, prepare, run_folder
from experiments.runtime.training_bar import TrainingBar
from experiments.settings.layers import ConfigError
from experiments.settings.load import load, plain
from experiments.settings.schema import Config
from experiments.training.data import make_data_module, prepare_data
from lightning_modules.checkpoint import CheckpointError
from lightning_modules.pretraining import ImuPretraining

Make = Callable[..., Config]


def _weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    content = torch.load(checkpoint, weights_only=True)
    return {k: v for k, v in content["state_dict"].items() if isinstance(v, torch.Tensor)}


def _assert_same(first: Path, second: Path) -> None:
    a, b = _weights(first), _weights(second)
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


def _command(config: Config, yaml_path: Path, *overrides: str) -> list[str]:
    paths = [f"paths.data={config.paths.data}", f"paths.runs={config.paths.runs}"]
    return [sys.executable, "-m", "experiments.pretrain", str(yaml_path), *paths, *overrides]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("complete")


@pytest.fixture(scope="module")
def whole(tiny_in: Make, runs: Path) -> Path:
    """The checkpoint of a run that nothing interrupted."""
    return run(tiny_in(runs))


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


@pytest.mark.slow
def test_killed_in_mid_epoch_it_ends_with_the_same_weights(whole: Path, tiny: Make, tiny_yaml: Path) -> None:
    config = tiny("run.name=killed", "trainer.checkpoint_every_steps=1")
    last = Path(config.paths.runs) / "tiny" / "killed" / "checkpoints" / "last.ckpt"
    overrides = ("run.name=killed", "trainer.checkpoint_every_steps=1")
    process = subprocess.Popen(_command(config, tiny_yaml, *overrides), stderr=subprocess.DEVNULL)
    steps_per_epoch = _steps_per_epoch(whole, epochs=4)
    assert steps_per_epoch >= 2
    deadline = time.monotonic() + 120
    done, seen = 0, 0
    while done < steps_per_epoch + 1 and process.poll() is None:
        assert time.monotonic() < deadline, "no checkpoint within two minutes"
        if last.is_file() and last.stat().st_mtime_ns != seen:
            seen = last.stat().st_mtime_ns
            done = torch.load(last, weights_only=True)["global_step"]
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = torch.load(last, weights_only=True)["global_step"]
    assert 0 < done < 4 * steps_per_epoch, "it was not killed in time to show anything"
    _assert_same(run(config), whole)


def test_an_interrupted_run_says_how_it_goes_on_and_its_exit_code_is_130(
    tiny_yaml: Path, tiny: Make, whole: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny("run.name=stopped", "trainer.checkpoint_every_steps=2")
    arguments = _command(config, tiny_yaml, "run.name=stopped", "trainer.checkpoint_every_steps=2")[3:]

    def stop(self: ImuPretraining, *_: object) -> None:
        if self.global_step == 5:
            os.kill(os.getpid(), signal.SIGINT)  # as Ctrl-C does

    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background of a shell ignore it
    with monkeypatch.context() as patch:
        patch.setattr(ImuPretraining, "on_train_batch_end", stop)
        assert main(arguments) == 130
    message = capsys.readouterr().err
    assert re.search(
        r"interrupted at step 6 of \d+ by Ctrl-C; the same command goes on from step 6 \(.*last\.ckpt\)", message
    )
    assert "Traceback" not in message
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert main(arguments) == 0
    _assert_same(run_folder(config) / "checkpoints" / LAST, whole)
    said = " ".join(capsys.readouterr().err.split())  # a console breaks lines
    assert "continued from" in said
    for line in (r"done: \d+ steps, in .*training/loss \d.*validation/mrr \d", r"next: python -m experiments\.adapt"):
        assert re.search(line, said)


def test_a_start_says_what_is_trained_and_what_is_not(
    tiny_in: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tiny_in(tmp_path, "trainer.kwargs.fast_dev_run=true"))
    said = " ".join(capsys.readouterr().err.split())
    for words in (
        r"pretraining on \d+ windows of 1 recordings, 1 subjects \(SIMULATED\)",
        r"trained, from random weights: IMU encoder cnn_transformer \([\d,]+ parameters\), video head temporal",
        r"frozen: video encoder vit \([\d,]+ parameters\), weights random, never trained; its features are cached",
        r"training: 4 epochs, \d+ steps, 8 windows a batch, on 1 threads of the CPU, 32-true",
    ):
        assert re.search(words, said), words


def _steps_per_epoch(checkpoint: Path, epochs: int) -> int:
    return int(torch.load(checkpoint, weights_only=True)["global_step"]) // epochs


@pytest.mark.parametrize("stop_after", [1, 2, 3, 5])
def test_resumed_at_any_step_it_ends_with_the_same_weights(
    whole: Path, tiny: Make, stop_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny("run.name=stopped", "trainer.checkpoint_every_steps=1")

    def stop(self: ImuPretraining, *_: object) -> None:
        if self.global_step == stop_after:
            raise RuntimeError("stopped by the test")

    with monkeypatch.context() as patch:
        patch.setattr(ImuPretraining, "on_train_batch_end", stop)
        # Raised after the callbacks of the batch's end have written the checkpoint.
        with pytest.raises(RuntimeError, match="stopped by the test"):
            run(config)
    last = Path(config.paths.runs) / "tiny" / "stopped" / "checkpoints" / "last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] == stop_after
    _assert_same(run(config), whole)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_stopped_between_batches_of_one_step_it_ends_with_the_same_weights(
    tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Steps of three batches and, where an epoch ends, of fewer.
    settings = ("trainer.accumulate=3", "pretraining.batch_size=4", "trainer.max_epochs=2")
    whole = run(tiny("run.name=whole", *settings))
    batches = _batches_per_epoch(tiny(*settings))
    assert batches % 3 != 0, "this test wants an epoch that ends with an incomplete step"
    assert torch.load(whole, weights_only=True)["global_step"] == 2 * -(-batches // 3)
    config = tiny("run.name=stopped", "trainer.checkpoint_every_steps=1", *settings)

    stop_epoch = 0

    def stop(self: ImuPretraining, outputs: object, batch: object, batch_idx: int) -> None:
        if self.current_epoch == stop_epoch and batch_idx == 4:  # the second of the second step's three
            raise RuntimeError("stopped by the test")

    with monkeypatch.context() as patch:
        patch.setattr(ImuPretraining, "on_train_batch_end", stop)
        for epoch in (0, 0, 1):
            stop_epoch = epoch
            with pytest.raises(RuntimeError, match="stopped by the test"):
                run(config)
    _assert_same(run(config), whole)


def _batches_per_epoch(config: Config) -> int:
    shards, _, features = prepare_data(config)
    return make_data_module(config, shards, features).steps_per_epoch


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
    run(tiny("trainer.max_epochs=1", "trainer.log_every=1000"))
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
    a, b = _weights(plain), _weights(compiled)
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


def test_a_complete_run_is_left_alone(whole: Path, runs: Path, tiny_in: Make) -> None:
    before = whole.stat().st_mtime_ns
    assert run(tiny_in(runs)) == whole
    assert whole.stat().st_mtime_ns == before


def test_other_settings_need_another_run(tiny: Make) -> None:
    run(tiny("trainer.max_epochs=1"))
    with pytest.raises(UserError, match=r"optim\.lr was 0\.001, is 0\.01.*run\.name"):
        run(tiny("trainer.max_epochs=1", "optim.lr=0.01"))
    # Set aside, not deleted.
    last = run(tiny("trainer.max_epochs=1", "optim.lr=0.01", "run.resume=never"))
    assert (last.parents[2] / "default-replaced-1" / "checkpoints" / "last.ckpt").is_file()


def test_a_setting_that_is_newer_than_a_run_had_its_default(tiny: Make) -> None:
    config = tiny()
    folder = run_folder(config)
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / LAST).touch()
    saved = plain(config)
    del saved["trainer"]["accumulate"]
    (folder / "config.yaml").write_text(yaml.safe_dump(saved), encoding="utf-8")
    with pytest.raises(UserError, match=r"trainer\.accumulate was 1, is 2"):
        prepare(tiny("trainer.accumulate=2"), main_process=True)
    assert prepare(config, main_process=True) == folder / "checkpoints" / LAST


def test_processes_that_start_anew_together_do_not_hold_the_old_run_against_each_other(tiny: Make) -> None:
    config = tiny("run.resume=never", "trainer.accumulate=2")
    folder = run_folder(config)
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / LAST).touch()
    (folder / "config.yaml").write_text(yaml.safe_dump(plain(tiny())), encoding="utf-8")
    # The second process looks before the first one has set the old run aside.
    assert prepare(config, main_process=False) is None
    assert prepare(config, main_process=True) is None
    assert prepare(config, main_process=False) is None
    assert (folder.parent / f"{folder.name}-replaced-1" / "checkpoints" / LAST).is_file()


def test_where_shards_were_built_is_not_what_was_learnt(tiny: Make) -> None:
    config = tiny("build.scheduler=tcp://cluster:8786", "build.workers=3")
    last = run_folder(config) / "checkpoints" / LAST
    last.parent.mkdir(parents=True)
    last.touch()
    (run_folder(config) / "config.yaml").write_text(yaml.safe_dump(plain(config)), encoding="utf-8")
    assert prepare(tiny(), main_process=True) == last


def test_statistics_of_features_need_a_cache(tiny: Make) -> None:
    with pytest.raises(UserError, match=r"input_norm is 'standard'.*video_encoder.cache is false; expected 'layer'"):
        run(tiny("video_encoder.cache=false"))


@pytest.mark.slow
def test_clips_can_be_encoded_in_every_step(tiny: Make) -> None:
    live = run(tiny("video_encoder.cache=false", "run.name=live", "video_head.params.input_norm=layer"))
    cached = run(tiny("run.name=cached", "video_head.params.input_norm=layer"))
    a, b = _weights(live), _weights(cached)
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
