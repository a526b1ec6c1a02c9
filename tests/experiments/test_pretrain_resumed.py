"""Pretraining that was interrupted, killed or finished, and goes on or is left alone."""

from __future__ import annotations

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
from helpers.equality import assert_same_weights

from experiments.pretrain import main, run
from experiments.runtime.errors import UserError
from experiments.runtime.run_folder import LAST, prepare, run_folder
from experiments.settings.load import plain
from experiments.settings.schema import Config
from experiments.training.data import make_data_module, prepare_data
from lightning_modules.pretraining import ImuPretraining

Make = Callable[..., Config]


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
    assert_same_weights(run(config), whole)


def test_an_interrupted_run_says_how_it_goes_on_and_its_exit_code_is_130(
    tiny_yaml: Path, tiny: Make, whole: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # It logs as runs do, which ``whole`` does not: pictures take no random numbers from the training.
    overrides = ("run.name=stopped", "trainer.checkpoint_every_steps=2", "trainer.loggers=[tensorboard]")
    config = tiny(*overrides)
    arguments = _command(config, tiny_yaml, *overrides)[3:]

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
    assert_same_weights(run_folder(config) / "checkpoints" / LAST, whole)
    said = " ".join(capsys.readouterr().err.split())  # a console breaks lines
    assert "continued from" in said
    for line in (r"done: \d+ steps, in .*training/loss \d.*validation/mrr \d", r"next: python -m experiments\.adapt"):
        assert re.search(line, said)


def _steps_per_epoch(checkpoint: Path, epochs: int) -> int:
    return int(torch.load(checkpoint, weights_only=True)["global_step"]) // epochs


@pytest.mark.parametrize(
    "stop_after", [pytest.param(1, marks=pytest.mark.slow), 2, 3, pytest.param(5, marks=pytest.mark.slow)]
)
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
    assert_same_weights(run(config), whole)


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
    assert_same_weights(run(config), whole)


def _batches_per_epoch(config: Config) -> int:
    shards, _, features = prepare_data(config)
    return make_data_module(config, shards, features).steps_per_epoch


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
