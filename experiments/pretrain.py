"""Pretrain an IMU encoder against video: ``python -m experiments.pretrain CONFIG [key=value]``.

Builds what is missing (shards, the video encoder's weights, its features), then trains; the same command continues
a run that was interrupted. With ``trainer.devices`` above 1 it trains with DDP.
"""

from __future__ import annotations

import shlex
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.runtime.command_line import EXIT_OK, Interrupted, guarded, parse, program
from experiments.runtime.errors import UserError

if TYPE_CHECKING:
    import lightning as L

    from datamodules.pretraining import PretrainingDataModule
    from experiments.settings.schema import Config
    from experiments.training.data import Shards
    from lightning_modules.pretraining import ImuPretraining


_COMMAND = "experiments.pretrain"
_CLIPS = 4  # held-out windows that TensorBoard shows as moving pictures


def run(config: Config) -> Path:
    """Pretrain, or continue; returns the last checkpoint.

    Raises:
        UserError: the settings don't fit together, or another process trains in this folder; the message says which.
        Interrupted: a signal stopped the training, which can go on.
    """
    from experiments.runtime.devices import is_main_process
    from experiments.runtime.run_folder import run_folder
    from experiments.runtime.sole_writer import sole_writer

    writes = is_main_process(config) and not config.trainer.kwargs.get("fast_dev_run")
    with sole_writer(run_folder(config), "training") if writes else nullcontext():
        return _pretrain(config)


def _pretrain(config: Config) -> Path:
    import lightning as L

    from core.durable import write_json
    from experiments.artifacts.shards import dataset_directory
    from experiments.reports.build import write_if_stale
    from experiments.runtime.console import console
    from experiments.runtime.devices import is_main_process, set_threads
    from experiments.runtime.run_folder import LAST, prepare, run_folder
    from experiments.runtime.training_bar import quiet
    from experiments.training.board import Board
    from experiments.training.data import left_out, make_data_module, namer, prepare_data
    from experiments.training.module import make_module
    from experiments.training.resume import steps_done
    from experiments.training.summary import LEFT_OUT, end_lines, start_lines
    from experiments.training.trainer import is_trial, make_trainer

    quiet()
    processes = config.trainer.devices * config.trainer.num_nodes
    set_threads(config, config.trainer.devices)
    main_process = is_main_process(config)
    if config.pretraining.batch_size % processes:
        raise UserError(
            f"pretraining.batch_size is {config.pretraining.batch_size}, which {processes} processes can't share evenly"
        )
    shards, video_encoder, features = prepare_data(config)
    if main_process:
        for name in config.pretraining.names():
            write_if_stale(dataset_directory(config, name))
    data = make_data_module(config, shards, features)
    L.seed_everything(config.run.seed, verbose=False)
    module = make_module(config, shards, video_encoder, features, data)
    checkpoint = None if is_trial(config) else prepare(config, main_process)
    folder = run_folder(config)
    last = folder / "checkpoints" / LAST
    if checkpoint is not None and steps_done(checkpoint, module) >= module.settings.total_steps:
        console.print(f"{checkpoint}: this run is complete; run.name=... starts another one", highlight=False)
        return last
    damaged = left_out(config, shards)
    if damaged and main_process and not is_trial(config):
        write_json(folder / LEFT_OUT, damaged)
    board = Board(config, data, partial(_clips, shards, data))
    trainer = make_trainer(config, folder, processes, module.shares_space, namer(shards), [board])
    if main_process:
        lines = start_lines(config, shards, data, module, video_encoder, features, checkpoint)
        console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
    if config.trainer.compile:
        module.imu_encoder.compile()  # in place: names of weights stay, so checkpoints fit either way
    started = time.monotonic()
    _fit(trainer, module, data, checkpoint, last)
    if trainer.is_global_zero:
        lines = end_lines(config, trainer, module, last, time.monotonic() - started, damaged)
        console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
    return last


def _fit(
    trainer: L.Trainer, module: ImuPretraining, data: PretrainingDataModule, checkpoint: Path | None, last: Path
) -> None:
    """Train; an interruption says how it goes on, instead of ending the process with 1 as Lightning does."""
    from experiments.training.resume import refused_checkpoint, steps_done
    from experiments.training.summary import stopped_line

    try:
        trainer.fit(module, data, ckpt_path=None if checkpoint is None else str(checkpoint), weights_only=True)
    except SystemExit:
        if not trainer.interrupted:
            raise
        signal.signal(signal.SIGINT, signal.default_int_handler)  # which Lightning has set to be ignored
        saved = steps_done(last, module) if last.is_file() else None
        raise Interrupted(stopped_line(trainer.global_step, module.settings.total_steps, last, saved)) from None
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        if checkpoint is None or (refusal := refused_checkpoint(error, checkpoint)) is None:
            raise
        raise refusal from error
    if trainer.interrupted:
        raise Interrupted


def _clips(shards: Shards, data: PretrainingDataModule) -> dict[str, bytes]:
    """Make moving pictures of held-out windows with video, of different recordings where there are enough."""
    import numpy as np

    from datamodules.shards.mixed import MixedShards
    from experiments.reports.preview.moving import moving_picture
    from experiments.reports.preview.scene import scene_of

    if isinstance(shards, MixedShards) or not shards.settings.frames:
        return {}  # a scene is of one set
    windows = data.validation_windows if len(data.validation_windows) else data.training_windows
    chosen = windows[np.unique(np.linspace(0, len(windows) - 1, _CLIPS).round().astype(int))]
    scenes = [scene_of(shards, int(window)) for window in chosen]
    return {f"window {number}": moving_picture(scene) for number, scene in enumerate(scenes, 1) if scene.frames}


def _say_what_is_next(config: Config, arguments: Sequence[str]) -> None:
    """Name the command that uses what was trained, with the same arguments."""
    from experiments.runtime.console import console
    from experiments.runtime.devices import is_main_process

    if is_main_process(config):
        tests = "eval_ood" if config.evaluation.targets else "adapt"
        purpose = "tests it on people whom it never saw" if config.evaluation.targets else "fits a head on labels"
        line = f"next: {program(f'experiments.{tests}')} {shlex.join(arguments)}".rstrip()
        console.print(f"{line}  ({purpose})", highlight=False, markup=False, soft_wrap=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    config = parse(argv, _COMMAND, "Pretrain an IMU encoder: against video, with temporal alignment, or by itself.")

    def work() -> int:
        run(config)
        if not config.trainer.kwargs.get("fast_dev_run"):
            _say_what_is_next(config, sys.argv[1:] if argv is None else argv)
        return EXIT_OK

    return guarded(work, _COMMAND)


if __name__ == "__main__":
    sys.exit(main())
