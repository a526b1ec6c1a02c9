"""Pretrain an IMU encoder against video: ``python -m experiments.pretrain CONFIG [key=value]``.

Builds what is missing (shards, the video encoder's weights, its features), then trains; the same command continues
a run that was interrupted. With ``trainer.devices`` above 1 it trains with DDP.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from filelock import FileLock
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy

from datamodules.augment import ImuAugmentation
from datamodules.features.cache import FeatureCache
from datamodules.pretraining import PretrainingDataModule
from datamodules.shards.reader import ShardSet
from encoders.contract import VideoEncoder
from encoders.video.heads import TemporalHead
from experiments.artifacts.shards import console, open_dataset
from experiments.artifacts.stores import check_order
from experiments.artifacts.video_encoder import features_of, open_video_encoder
from experiments.runtime.checkpoints import DurableCheckpointIO
from experiments.runtime.command_line import EXIT_OK, UserError, guarded, parse
from experiments.runtime.devices import accelerator, is_main_process, set_threads, supports_bf16
from experiments.runtime.run_folder import LAST, prepare, run_folder
from experiments.runtime.training_bar import StepCheckpoint, TrainingBar, quiet
from experiments.settings.schema import Config, LossConfig
from lightning_modules.monitoring.throughput import Throughput
from lightning_modules.pretraining import ImuPretraining, PretrainingSettings

_COMMAND = "experiments.pretrain"


def run(config: Config) -> Path:
    """Pretrain, or continue; returns the last checkpoint.

    Raises:
        UserError: the settings don't fit together; the message says which.
    """
    quiet()
    processes = config.trainer.devices * config.trainer.num_nodes
    set_threads(config, config.trainer.devices)
    if config.trainer.accumulate < 1:
        raise UserError(f"trainer.accumulate is {config.trainer.accumulate}; expected a number of batches, at least 1")
    main_process = is_main_process(config)
    if config.pretraining.batch_size % processes:
        raise UserError(
            f"pretraining.batch_size is {config.pretraining.batch_size}, which {processes} processes can't share evenly"
        )
    shards, video_encoder, features = prepare_data(config)
    data = make_data_module(config, shards, features)
    L.seed_everything(config.run.seed, verbose=False)
    module = make_module(config, shards, video_encoder, features, data)
    checkpoint = prepare(config, main_process)
    folder = run_folder(config)
    last = folder / "checkpoints" / LAST
    if checkpoint is not None and _steps_done(checkpoint) >= module.settings.total_steps:
        console.print(f"{checkpoint}: this run is complete; run.name=... starts another one", highlight=False)
        return last
    if main_process:
        _introduce(config, shards, data, checkpoint)
    if config.trainer.compile:
        module.imu_encoder.compile()  # in place: names of weights stay, so checkpoints fit either way
    trainer = _trainer(config, folder, processes, module.shares_space)
    trainer.fit(module, data, ckpt_path=None if checkpoint is None else str(checkpoint), weights_only=True)
    if trainer.interrupted:
        raise KeyboardInterrupt
    if trainer.is_global_zero:
        console.print(f"checkpoint: {last}\nlook at it: make tensorboard", highlight=False)
    return last


def make_module(
    config: Config,
    shards: ShardSet,
    video_encoder: VideoEncoder | None,
    features: FeatureCache | None,
    data: PretrainingDataModule,
) -> ImuPretraining:
    """The module that the settings ask for, with weights from torch's random state.

    Raises:
        UserError: the queue of neighbours is too long for so few windows, or the video head needs cached features.
    """
    windows = len(data.training_windows)
    if config.loss.neighbour_weight and config.loss.queue_size >= windows:
        raise UserError(
            f"loss.queue_size is {config.loss.queue_size}, but an epoch has {windows} windows: "
            "the nearest neighbour of each would be itself, an epoch ago; expected less, e.g. a third of them"
        )
    module = ImuPretraining(**dataclasses.asdict(_settings(config, shards, video_encoder, data)))
    head = module.video_head
    standardises = isinstance(head, TemporalHead) and head.params.input_norm == "standard"
    if video_encoder is not None and features is None:
        if standardises:
            raise UserError(
                "video_head.params.input_norm is 'standard', which takes its statistics from the feature cache, but"
                " video_encoder.cache is false; expected 'layer'"
            )
        module.use_video_encoder(video_encoder)
    elif features is not None and isinstance(head, TemporalHead) and standardises:
        mean, deviation = features.statistics(data.training_windows)
        head.set_input_statistics(torch.from_numpy(mean), torch.from_numpy(deviation))
    return module


def prepare_data(config: Config) -> tuple[ShardSet, VideoEncoder | None, FeatureCache | None]:
    """Shards, video encoder and features; one process makes what is missing, the others wait for it.

    Where nothing is learnt from video there is no video encoder; where clips are encoded anew in each step, no
    features.
    """
    root = Path(config.paths.data)
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / f".{config.experiment}.lock"):
        shards = open_dataset(config, config.pretraining.dataset)
        if not learns_from_video(config.loss):
            return shards, None, None
        video_encoder = open_video_encoder(config, shards)
        features = (
            features_of(config, shards, config.pretraining.dataset, video_encoder)
            if config.video_encoder.cache
            else None
        )
    return shards, video_encoder, features


def make_data_module(config: Config, shards: ShardSet, features: FeatureCache | None) -> PretrainingDataModule:
    """The pretraining windows in their order, with their features where there are some."""
    p = config.pretraining
    check_order(p.order, shards, features)
    try:
        return PretrainingDataModule(
            shards,
            features,
            batch_size=p.batch_size,
            normalisation=p.normalisation,
            validation_share=p.validation_share,
            augmentation=ImuAugmentation(**vars(p.augment), normalisation=p.normalisation),
            views=p.views,
            exclude_activities=p.exclude_activities,
            seed=config.run.seed,
            video=learns_from_video(config.loss),
            order=p.order,
        )
    except ValueError as error:
        raise UserError(str(error)) from error


def learns_from_video(loss: LossConfig) -> bool:
    """Whether any objective needs clips."""
    weights = (loss.alignment_weight, loss.order_weight, loss.neighbour_weight)
    return loss.contrastive != "none" or max(weights) > 0


def _settings(
    config: Config, shards: ShardSet, video_encoder: VideoEncoder | None, data: PretrainingDataModule
) -> PretrainingSettings:
    source = config.datasets[config.pretraining.dataset].source.name
    encoder, loss, optim = config.imu_encoder, config.loss, config.optim
    subjects = np.unique(shards.codes("subject")).tolist()
    return PretrainingSettings(
        imu_encoder={"name": encoder.name, "params": encoder.params},
        imu_input={"samples": shards.settings.samples, "rate_hz": shards.settings.imu_rate_hz},
        video_head=None
        if video_encoder is None
        else {"name": config.video_head.name, "params": config.video_head.params},
        frame_width=0 if video_encoder is None else video_encoder.token_width,
        total_steps=config.trainer.max_epochs * -(-data.steps_per_epoch // config.trainer.accumulate),
        seed=config.run.seed,
        normalisation=config.pretraining.normalisation,
        same_recording_gap_s=config.pretraining.same_recording_gap_s,
        window=dataclasses.asdict(shards.settings),
        pretraining_subjects=[f"{source}/{shards.label_tables['subject'][code]}" for code in subjects],
        excluded_activities=list(config.pretraining.exclude_activities),
        video_encoder=None
        if video_encoder is None
        else {
            "name": config.video_encoder.name,
            "weights": config.video_encoder.weights,
            "fingerprint": video_encoder.fingerprint(),
            "frozen": config.video_encoder.params.get("frozen", True),
        },
        simulated=shards.simulated,
        contrastive=loss.contrastive,
        projection_width=loss.projection_width,
        projection_dropout=loss.projection_dropout,
        alignment_weight=loss.alignment_weight,
        alignment_width_s=loss.alignment_width_s,
        alignment_temperature=loss.alignment_temperature,
        alignment_max_shift_s=loss.alignment_max_shift_s,
        alignment_shift_step_s=loss.alignment_shift_step_s,
        alignment_dim=loss.alignment_dim,
        order_weight=loss.order_weight,
        order_count=loss.order_count,
        masked_weight=loss.masked_weight,
        masked_share=loss.masked_share,
        masked_patch=loss.masked_patch,
        neighbour_weight=loss.neighbour_weight,
        neighbour_temperature=loss.neighbour_temperature,
        queue_size=loss.queue_size,
        student_temperature=loss.student_temperature,
        teacher_temperature=loss.teacher_temperature,
        consistency_weight=loss.consistency_weight,
        consistency_temperature=loss.consistency_temperature,
        lr=optim.lr,
        min_lr=optim.min_lr,
        weight_decay=optim.weight_decay,
        scalar_lr_factor=optim.scalar_lr_factor,
        warmup_share=optim.warmup_share,
    )


def _trainer(config: Config, folder: Path, processes: int, retrieves: bool) -> L.Trainer:
    t = config.trainer
    kind = accelerator(config)
    precision = t.precision
    if precision == "auto":
        # bf16 pays on a GPU; a small IMU encoder on a CPU is faster, and exact to resume, in 32 bits.
        precision = "bf16-mixed" if kind == "gpu" and supports_bf16(config) else "32-true"
    every_step = t.checkpoint_every_steps
    callbacks: list[Any] = [
        StepCheckpoint(
            folder / "checkpoints",
            filename=Path(LAST).stem,
            save_top_k=1,
            enable_version_counter=False,
            every_n_train_steps=every_step or None,
            every_n_epochs=None if every_step else 1,
            save_on_train_epoch_end=None if every_step else True,
        ),
        LearningRateMonitor("step"),
        Throughput(config.pretraining.batch_size),
        TrainingBar(),
    ]
    if retrieves:
        best = ModelCheckpoint(
            folder / "checkpoints",
            filename="best",
            monitor="validation/mrr",
            mode="max",
            save_top_k=1,
            enable_version_counter=False,
        )
        callbacks.insert(1, best)
    return L.Trainer(
        max_epochs=t.max_epochs,
        accelerator=kind,
        devices=t.devices,
        num_nodes=t.num_nodes,
        strategy=DDPStrategy(gradient_as_bucket_view=True) if processes > 1 else "auto",
        precision=precision,  # type: ignore[arg-type]
        logger=TensorBoardLogger(folder, name="", version="tensorboard", default_hp_metric=False),
        callbacks=callbacks,
        plugins=[DurableCheckpointIO()],
        gradient_clip_val=config.optim.gradient_clip or None,
        accumulate_grad_batches=t.accumulate,
        check_val_every_n_epoch=t.validate_every,
        log_every_n_steps=t.log_every,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_model_summary=False,
    )


def _introduce(config: Config, shards: ShardSet, data: PretrainingDataModule, checkpoint: Path | None) -> None:
    recordings, subjects = shards.codes("recording"), shards.codes("subject")
    training = data.training_windows
    lines = [
        f"run: {run_folder(config)}" + (f", continued from {checkpoint}" if checkpoint else ""),
        f"pretraining on {len(training)} windows of {len(np.unique(recordings[training]))} recordings,"
        f" {len(np.unique(subjects[training]))} subjects{' (SIMULATED)' if shards.simulated else ''};"
        f" {len(data.validation_windows)} windows held out for validation, without labels",
    ]
    console.print("\n".join(lines), highlight=False, markup=False)


def _steps_done(checkpoint: Path) -> int:
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    return int(content["global_step"])


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    config = parse(argv, _COMMAND, "Pretrain an IMU encoder: against video, with temporal alignment, or by itself.")

    def work() -> int:
        run(config)
        return EXIT_OK

    return guarded(work, _COMMAND)


if __name__ == "__main__":
    sys.exit(main())
