"""Pretrain an IMU encoder against video: ``python -m experiments.pretrain CONFIG [key=value]``.

Builds what is missing (shards, the video encoder's weights, its features), then trains; the same command continues
a run that was interrupted. With ``trainer.devices`` above 1 it trains with DDP.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.runtime.command_line import EXIT_OK, guarded, parse
from experiments.runtime.errors import UserError

if TYPE_CHECKING:
    from datamodules.pretraining import PretrainingDataModule
    from experiments.settings.schema import Config
    from experiments.training.data import Shards


_COMMAND = "experiments.pretrain"


def run(config: Config) -> Path:
    """Pretrain, or continue; returns the last checkpoint.

    Raises:
        UserError: the settings don't fit together, or another process trains in this folder; the message says which.
    """
    from experiments.runtime.devices import is_main_process
    from experiments.runtime.run_folder import run_folder
    from experiments.runtime.sole_writer import sole_writer

    with sole_writer(run_folder(config), "training") if is_main_process(config) else nullcontext():
        return _pretrain(config)


def _pretrain(config: Config) -> Path:
    import lightning as L

    from experiments.artifacts.shards import dataset_directory
    from experiments.reports.build import write_if_stale
    from experiments.runtime.console import console
    from experiments.runtime.devices import is_main_process, set_threads
    from experiments.runtime.run_folder import LAST, prepare, run_folder
    from experiments.runtime.training_bar import quiet
    from experiments.training.data import make_data_module, namer, prepare_data
    from experiments.training.module import make_module
    from experiments.training.resume import steps_done
    from experiments.training.trainer import make_trainer

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
    checkpoint = prepare(config, main_process)
    folder = run_folder(config)
    last = folder / "checkpoints" / LAST
    if checkpoint is not None and steps_done(checkpoint, module) >= module.settings.total_steps:
        console.print(f"{checkpoint}: this run is complete; run.name=... starts another one", highlight=False)
        return last
    if main_process:
        _introduce(config, shards, data, checkpoint)
    if config.trainer.compile:
        module.imu_encoder.compile()  # in place: names of weights stay, so checkpoints fit either way
    trainer = make_trainer(config, folder, processes, module.shares_space, namer(shards))
    trainer.fit(module, data, ckpt_path=None if checkpoint is None else str(checkpoint), weights_only=True)
    if trainer.interrupted:
        raise KeyboardInterrupt
    if trainer.is_global_zero:
        console.print(f"checkpoint: {last}\nlook at it: make tensorboard", highlight=False)
    return last


def _introduce(config: Config, shards: Shards, data: PretrainingDataModule, checkpoint: Path | None) -> None:
    import numpy as np

    from datamodules.sampling.mixture import MixtureOrder
    from experiments.runtime.console import console
    from experiments.runtime.run_folder import run_folder

    recordings, subjects = shards.codes("recording"), shards.codes("subject")
    training = data.training_windows
    lines = [
        f"run: {run_folder(config)}" + (f", continued from {checkpoint}" if checkpoint else ""),
        f"pretraining on {len(training)} windows of {len(np.unique(recordings[training]))} recordings,"
        f" {len(np.unique(subjects[training]))} subjects{' (SIMULATED)' if shards.simulated else ''};"
        f" {len(data.validation_windows)} windows held out for validation, without labels",
    ]
    if "labels" in data.targets:
        lines.append("LABELS of the training windows are learnt from (loss.labels)")
    if isinstance(data.order, MixtureOrder):
        mixed = zip(config.pretraining.names(), data.order.shares, data.order.orders, strict=True)
        lines += [f"  {name}: {share} windows of each batch, of {order.n}" for name, share, order in mixed]
    console.print("\n".join(lines), highlight=False, markup=False)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    config = parse(argv, _COMMAND, "Pretrain an IMU encoder: against video, with temporal alignment, or by itself.")

    def work() -> int:
        run(config)
        return EXIT_OK

    return guarded(work, _COMMAND)


if __name__ == "__main__":
    sys.exit(main())
