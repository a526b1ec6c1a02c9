"""Lightning's conventions: arguments, loggers and callbacks that settings hand to the Trainer."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, RichModelSummary

from experiments.pretrain import run
from experiments.runtime.errors import UserError
from experiments.runtime.run_folder import run_folder
from experiments.runtime.training_bar import TrainingBar
from experiments.settings.layers import ConfigError
from experiments.settings.load import load
from experiments.settings.schema import Config
from experiments.training.trainer import make_trainer

Make = Callable[..., Config]


def test_arguments_reach_the_trainer(tiny: Make, tmp_path: Path) -> None:
    config = tiny(
        "trainer.kwargs={limit_val_batches: 1, detect_anomaly: true, gradient_clip_algorithm: norm}",
        "trainer.kwargs.enable_progress_bar=false",
        "trainer.kwargs.profiler=simple",
        "trainer.callbacks=[early_stopping, model_summary]",
        "trainer.callback_params={early_stopping: {monitor: validation/mrr, mode: max, patience: 9}}",
        "trainer.loggers=[csv, tensorboard]",
    )
    trainer = make_trainer(config, tmp_path, 1, True, lambda batch: [])
    assert trainer.limit_val_batches == 1
    assert type(trainer.profiler).__name__ == "SimpleProfiler"  # type: ignore[attr-defined]
    assert [type(logger).__name__ for logger in trainer.loggers] == ["CSVLogger", "Board"]
    assert trainer.early_stopping_callback is not None
    assert trainer.early_stopping_callback.patience == 9
    kinds = {type(callback) for callback in trainer.callbacks}  # type: ignore[attr-defined]
    assert {EarlyStopping, RichModelSummary} <= kinds
    assert TrainingBar not in kinds


def test_what_lightning_refuses_is_one_message(tiny: Make, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Lightning's Trainer refuses these settings: .*nonsense"):
        make_trainer(tiny("trainer.kwargs.strategy=nonsense"), tmp_path, 1, True, lambda batch: [])
    plugin = "lightning.pytorch.plugins.io:AsyncCheckpointIO"
    with pytest.raises(UserError, match=r"trainer\.kwargs\.plugins: AsyncCheckpointIO would write checkpoints"):
        make_trainer(tiny(f"trainer.kwargs.plugins=['{plugin}']"), tmp_path, 1, True, lambda batch: [])
    with pytest.raises(ConfigError, match=r"trainer\.kwargs\.fast_dev_rum: .*did you mean 'fast_dev_run'"):
        tiny("trainer.kwargs.fast_dev_rum=true")


def test_a_file_cannot_vouch_for_itself(tmp_path: Path) -> None:
    path = tmp_path / "theirs.yaml"
    path.write_text("trainer: {callbacks: ['evil:Callback'], trust: [evil]}\n")
    with pytest.raises(ConfigError, match=r"theirs\.yaml: trainer\.trust lets code run, so a file can't set it"):
        load(str(path))
    path.write_text("trainer: {callbacks: ['evil:Callback']}\n")
    with pytest.raises(ConfigError, match=r"trainer\.callbacks: 'evil:Callback' would run code"):
        load(str(path))
    assert load(str(path), ["trainer.trust=[evil]"]).trainer.trust == ["evil"]


def test_a_trial_saves_nothing_and_leaves_a_run_alone(trained: Make, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run_folder(trained())
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    run(trained("trainer.kwargs.fast_dev_run=2", "optim.lr=0.5"))
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert "trial" in capsys.readouterr().err


def test_fewer_batches_an_epoch_end_with_a_whole_schedule(tiny: Make, caplog: pytest.LogCaptureFixture) -> None:
    settings = ("trainer.kwargs.limit_train_batches=2", "trainer.max_epochs=3", "trainer.loggers=[csv]")
    logger = logging.getLogger("lightning.pytorch")  # it keeps its messages from the root's handlers
    logger.addHandler(caplog.handler)
    try:
        last = run(tiny(*settings, "trainer.kwargs.profiler=simple"))
    finally:
        logger.removeHandler(caplog.handler)
    assert "Profiler Report" in caplog.text  # what was asked for is shown, Lightning's hints are not
    assert "LOCAL_RANK" not in caplog.text
    assert "available" not in caplog.text
    content = torch.load(last, weights_only=True)
    assert content["global_step"] == content["hyper_parameters"]["total_steps"] == 6
    with (last.parents[1] / "csv" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    rates = [float(rate) for row in rows if (rate := row["training/learning_rate/matrices"])]
    assert min(rates) < 0.2 * max(rates)  # the cosine has come down
    assert not (last.parents[1] / "tensorboard").exists()
    # What does not change the weights may differ in a continuation; what does may not.
    assert run(tiny(*settings[:2], "trainer.kwargs.profiler=simple")) == last
    with pytest.raises(UserError, match=r"trainer\.kwargs\.limit_train_batches was 2, is 3"):
        run(tiny("trainer.kwargs.limit_train_batches=3", "trainer.max_epochs=3"))
