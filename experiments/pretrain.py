"""Pretrain an IMU encoder against video: ``python -m experiments.pretrain CONFIG [key=value]``.

Builds what is missing (shards, the video encoder's weights, its features), then trains; the same command continues
a run that was interrupted. With ``trainer.devices`` above 1 it trains with DDP.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from core.room import naming_the_path
from experiments.runtime.command_line import EXIT_OK, guarded, parse, program
from experiments.runtime.errors import UserError
from experiments.runtime.stopping import Abandoned, Interrupted, end_with_parent, raise_received, stoppable

if TYPE_CHECKING:
    from datamodules.pretraining import PretrainingDataModule
    from experiments.settings.schema import Config
    from experiments.training.data import Shards
    from experiments.training.meeting import Meeting


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
    from experiments.training.meeting import meeting

    processes = config.trainer.devices * config.trainer.num_nodes
    if config.pretraining.batch_size % processes:
        raise UserError(
            f"pretraining.batch_size is {config.pretraining.batch_size}, which {processes} processes can't share evenly"
        )
    writes = is_main_process(config) and not config.trainer.kwargs.get("fast_dev_run")
    with stoppable(), meeting(config) as others:
        others.now()
        with sole_writer(run_folder(config), "training") if writes else nullcontext():
            return _pretrain(config, others)


def _pretrain(config: Config, others: Meeting) -> Path:
    import lightning as L

    from core.durable import write_json
    from experiments.artifacts.shards import dataset_directory
    from experiments.reports.build import write_if_stale
    from experiments.runtime.completeness import mark_ended
    from experiments.runtime.console import console
    from experiments.runtime.devices import accelerator, is_main_process, set_threads
    from experiments.runtime.garbage import earlier_objects_left_out
    from experiments.runtime.memory import keep_freed_memory
    from experiments.runtime.peers import LOST
    from experiments.runtime.run_folder import LAST, prepare, run_folder
    from experiments.runtime.training_bar import quiet
    from experiments.training.board import Board
    from experiments.training.data import left_out, make_data_module, namer, prepare_data
    from experiments.training.module import make_module
    from experiments.training.resume import going_on, refused_checkpoint, steps_done
    from experiments.training.stop import StopAtSignal, end_others, lost_peer
    from experiments.training.summary import LEFT_OUT, end_lines, start_lines
    from experiments.training.trainer import is_trial, make_trainer

    quiet()
    processes = config.trainer.devices * config.trainer.num_nodes
    set_threads(config, config.trainer.devices)
    main_process = is_main_process(config)
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
    if checkpoint is not None:
        config = going_on(config, checkpoint)
    damaged = left_out(config, shards)
    if damaged and main_process and not is_trial(config):
        write_json(folder / LEFT_OUT, damaged)
    board = Board(config, data, partial(_clips, config, shards, data))
    stop = StopAtSignal(last, module.settings.total_steps, config.trainer.checkpoint_every_steps)
    callbacks: list[L.Callback] = [board] if is_trial(config) else [board, stop]
    trainer = make_trainer(config, folder, processes, module.shares_space, namer(shards), callbacks)
    others.before_the_group(trainer)
    if main_process:
        lines = start_lines(config, shards, data, module, video_encoder, features, checkpoint)
        console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
    if config.trainer.compile:
        module.imu_encoder.compile()  # in place: names of weights stay, so checkpoints fit either way
    if accelerator(config) == "cpu":
        keep_freed_memory()
    started = time.monotonic()
    with stoppable():
        try:
            with naming_the_path(folder), earlier_objects_left_out():  # an error of TensorBoard's files has no name
                trainer.fit(module, data, ckpt_path=None if checkpoint is None else str(checkpoint), weights_only=True)
        except Interrupted:
            others.agreed = stop.stopped
            end_others(trainer)
            raise
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            if trainer.world_size > 1 and isinstance(error, RuntimeError) and (others.lost() or lost_peer(error)):
                others.wait_for_news()
                raise UserError(LOST) from error
            if checkpoint is None or (refusal := refused_checkpoint(error, checkpoint)) is None:
                raise
            raise refusal from error
        if trainer.is_global_zero:
            if not is_trial(config):
                mark_ended(last, trainer.global_step, module.settings.total_steps)
            lines = end_lines(config, trainer, module, last, time.monotonic() - started, damaged)
            console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
        end_others(trainer)
        raise_received("stopped by a signal after the end of the training")
    return last


def _clips(config: Config, shards: Shards, data: PretrainingDataModule) -> dict[str, bytes]:
    """Make moving pictures of held-out windows; without any, of windows of training."""
    from experiments.reports.preview.held_out import held_out_clips
    from experiments.training.data import shows_frames

    if not shows_frames(config, shards):
        return {}
    windows = data.validation_windows if len(data.validation_windows) else data.training_windows
    return held_out_clips(shards, windows, _CLIPS)


def _say_what_is_next(config: Config, arguments: Sequence[str]) -> None:
    """Name the command that uses what was trained, with the same arguments."""
    from experiments.runtime.console import console
    from experiments.runtime.devices import is_main_process

    if is_main_process(config):
        tests = "eval_ood" if config.evaluation.targets else "adapt"
        purpose = "tests it on people whom it never saw" if config.evaluation.targets else "fits a head on labels"
        # Arguments hold paths, which may hold names.
        same = "with the same arguments" if config.privacy.pseudonyms else shlex.join(arguments)
        line = f"next: {program(f'experiments.{tests}')} {same}".rstrip()
        console.print(f"{line}  ({purpose})", highlight=False, markup=False, soft_wrap=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    config = parse(argv, _COMMAND, "Pretrain an IMU encoder: against video, with temporal alignment, or by itself.")

    def work() -> int:
        from experiments.runtime.devices import is_launched
        from experiments.runtime.peers import LOST

        if is_launched():
            end_with_parent(message=f"{program(_COMMAND)}: {LOST}")
        try:
            run(config)
        except Abandoned:
            raise
        except Interrupted as stopped:
            if is_launched():  # the first process has the command's exit code; another's would be taken for a crash
                if str(stopped):  # it was told alone, before the training: the first process would wait for it
                    os.kill(os.getppid(), stopped.signal)
                raise Interrupted("", stopped.signal, EXIT_OK) from None
            raise
        if not config.trainer.kwargs.get("fast_dev_run"):
            _say_what_is_next(config, sys.argv[1:] if argv is None else argv)
        return EXIT_OK

    return guarded(work, _COMMAND)


if __name__ == "__main__":
    sys.exit(main())
