"""The words of pretraining about itself: before it starts, and at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import lightning as L
import numpy as np
import torch
from torch import nn

from core.plural import plural
from datamodules.pretraining import PretrainingDataModule
from datamodules.sampling.mixture import MixtureOrder
from encoders.contract import VideoEncoder
from experiments.runtime.board_command import board_command
from experiments.runtime.devices import accelerator, precision_of
from experiments.runtime.run_folder import run_folder
from experiments.runtime.time_left import in_words
from experiments.settings.schema import Config
from experiments.training.data import Features, Shards, shows_frames
from experiments.training.trainer import is_trial
from lightning_modules.pretraining import ImuPretraining

_WEIGHTS = {
    "self_supervised": "trained on the unlabelled frames of these clips",
    "pretrained": "that its library publishes",
    "random": "random, never trained",
}
LEFT_OUT = "left_out.json"  # the run's record of damaged windows that it was trained without
_SHOWN = ("training/loss", "validation/mrr", "validation/alignment_error_ms")


def start_lines(
    config: Config,
    shards: Shards,
    data: PretrainingDataModule,
    module: ImuPretraining,
    video_encoder: VideoEncoder | None,
    features: Features | None,
    checkpoint: Path | None,
) -> list[str]:
    """Say what is about to be trained: data, sizes, what is frozen, whence the weights, device."""
    if is_trial(config):
        first = "a trial of a few batches (trainer.kwargs.fast_dev_run); nothing is saved"
    else:
        first = f"run: {run_folder(config)}" + (f", continued from {checkpoint}" if checkpoint else "")
    lines = [first, *_data_lines(config, shards, data), *_model_lines(config, module, video_encoder, features)]
    epochs, steps = config.trainer.max_epochs, module.settings.total_steps
    return [
        *lines,
        f"training: {plural(epochs, 'epoch')}, {plural(steps, 'step')},"
        f" {plural(config.pretraining.batch_size, 'window')} a batch, on {device_in_words(config)},"
        f" {precision_of(config, config.trainer.precision)}",
    ]


def _data_lines(config: Config, shards: Shards, data: PretrainingDataModule) -> list[str]:
    recordings, subjects = shards.codes("recording"), shards.codes("subject")
    training = data.training_windows
    lines = [
        f"pretraining on {plural(len(training), 'window')} of"
        f" {plural(len(np.unique(recordings[training])), 'recording')},"
        f" {plural(len(np.unique(subjects[training])), 'subject')}{' (SIMULATED)' if shards.simulated else ''};"
        f" {plural(len(data.validation_windows), 'window')} held out for validation, without labels",
    ]
    if shards.settings.frames and not shows_frames(config, shards):
        lines.append("no frame is shown (privacy.features_only): TensorBoard has curves and features, no pictures")
    if "labels" in data.targets:
        lines.append("LABELS of the training windows are learnt from (loss.labels)")
    if isinstance(data.order, MixtureOrder):
        mixed = zip(config.pretraining.names(), data.order.shares, data.order.orders, strict=True)
        lines += [f"  {name}: {share} windows of each batch, of {order.n}" for name, share, order in mixed]
    return lines


def _model_lines(
    config: Config, module: ImuPretraining, video_encoder: VideoEncoder | None, features: Features | None
) -> list[str]:
    weights = {name: settings.weight for name, settings in config.loss.chosen().items()}
    lines = [
        f"trained, from random weights: IMU encoder {config.imu_encoder.name} ({_size(module.imu_encoder)})"
        + (f", video head {config.video_head.name} ({_size(module.video_head)})" if module.video_head else "")
        + f", by {', '.join(f'{name} {weight:g}' for name, weight in weights.items())}"
    ]
    if video_encoder is None:
        return [*lines, "no video encoder: nothing is learnt from video"]
    frozen = config.video_encoder.params.get("frozen", True)
    chosen = config.video_encoder.weights
    whence = _WEIGHTS.get(chosen, f"from {chosen}")
    how = "its features are cached" if features is not None else "clips are encoded in every step"
    return [
        *lines,
        f"{'frozen' if frozen else 'trained along'}: video encoder {config.video_encoder.name}"
        f" ({_size(video_encoder)}), weights {whence}; {how}",
    ]


def device_in_words(config: Config) -> str:
    """Name the devices that the run trains on."""
    processes = config.trainer.devices * config.trainer.num_nodes
    if accelerator(config) == "cpu":
        threads = f"{plural(torch.get_num_threads(), 'thread')} of the CPU"
        return threads if processes == 1 else f"{processes} processes with {threads}"
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else config.trainer.accelerator
    return name if processes == 1 else f"{processes} x {name}"


def end_lines(
    config: Config,
    trainer: L.Trainer,
    module: ImuPretraining,
    last: Path,
    seconds: float,
    damaged: Mapping[str, Sequence[str]],
) -> list[str]:
    """Say how a run ended: final metrics, where it is, what was left out as damaged, what to look at."""
    found = {name: trainer.callback_metrics[name].item() for name in _SHOWN if name in trainer.callback_metrics}
    values = "".join(f"; {name} {value:.3g}" for name, value in found.items())
    if is_trial(config):
        return [f"the trial went well, in {in_words(seconds)}{values}"]
    done, total = trainer.global_step, module.settings.total_steps
    steps = plural(done, "step") if done >= total else f"{done} of {total} steps"
    lines = [f"done: {steps}, in {in_words(seconds)}{values}", f"checkpoint: {last}"]
    lines += [
        f"left out: {plural(len(windows), 'damaged window')} of {name}, named in {run_folder(config) / LEFT_OUT}"
        for name, windows in damaged.items()
    ]
    if "tensorboard" in config.trainer.loggers:
        lines.append(f"look at it: {board_command(config)}")
    return lines


def _size(module: nn.Module | None) -> str:
    count = 0 if module is None else sum(p.numel() for p in module.parameters())
    return f"{count / 1e6:.1f} M parameters" if count >= 100_000 else f"{count:,} parameters"
