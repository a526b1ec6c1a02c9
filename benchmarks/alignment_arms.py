"""Data sets, training and measures of ``benchmarks.alignment``."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score

from datamodules.features.cache import FeatureCache
from datamodules.labelled import ImuBatches
from datamodules.pretraining import PretrainingDataModule
from datamodules.shards.reader import ShardSet
from datamodules.sources.simulator import Simulator, SimulatorParams
from encoders.contract import VideoEncoder
from experiments.artifacts.shards import open_dataset
from experiments.artifacts.video_encoder import features_of, open_video_encoder
from experiments.evaluation.splits import draw_support
from experiments.settings.load import load
from experiments.settings.schema import Config, DatasetConfig, SourceConfig
from experiments.training.data import make_data_module
from experiments.training.module import make_module
from lightning_modules.monitoring.clock_shift import recording_shift, shift_scores
from lightning_modules.objectives.alignment import AlignmentObjective
from lightning_modules.objectives.tokens import TokenObjective
from lightning_modules.pretraining import ImuPretraining
from lightning_modules.probe import Standardisation, fit_probe

SHOTS = (1, 5, 20)
DRAWS = 20  # draws of subjects and of labelled windows
CANDIDATES_S = torch.arange(-14, 15) * 0.05  # beyond the largest offset, but losing few frames at the ends of windows


@dataclass(frozen=True)
class Arm:
    """One way to pretrain.

    Attributes:
        name: name in the table.
        clocks: clocks of the data set: "agree" or "off".
        weight: weight of the alignment loss.
        order: weight of the loss that tells the order of frames.
        max_shift_s: largest disagreement of a recording's clocks that the alignment loss allows, seconds.
    """

    name: str
    clocks: str
    weight: float = 0.5
    order: float = 0.0
    max_shift_s: float = 0.0

    @property
    def key(self) -> str:
        """All fields, as text."""
        return repr(self)


@dataclass(frozen=True)
class Data:
    """Windows with the features of their clips; ``features`` is None without clips."""

    shards: ShardSet
    features: FeatureCache | None


def settings(folder: Path, clock_s: float) -> Config:
    """Make the simulator's configuration, with further data sets for the benchmark.

    Args:
        folder: folder of shards, video encoder and features.
        clock_s: largest offset between clocks, seconds.
    """
    config = load("simulator", [f"paths.data={folder}", f"paths.runs={folder / 'runs'}"])
    shown: dict[str, Any] = {**config.datasets["pretraining"].source.params, "max_clock_offset_s": 0.0}
    held_out = {"subjects": 12, "sessions_per_subject": 2, "first_subject": 100}
    made = {
        "agree": shown,
        "off": {**shown, "max_clock_offset_s": clock_s},
        "held_out": {**shown, **held_out, "max_clock_offset_s": clock_s},
        "few_shot": {**shown, **held_out, "cameras": []},
    }
    for name, params in made.items():
        camera = "" if name == "few_shot" else "head"
        config.datasets[name] = DatasetConfig(SourceConfig("simulator", params), placement="head", camera=camera)
    return config


def open_data(config: Config) -> tuple[dict[str, Data], VideoEncoder]:
    """Open all data sets, building missing ones, and the video encoder, which never saw the held-out subjects."""
    data: dict[str, Data] = {}
    video_encoder: VideoEncoder | None = None
    for name in ("agree", "off", "held_out", "few_shot"):
        shards = open_dataset(config, name)
        if video_encoder is None:
            video_encoder = open_video_encoder(config, shards)
        plain = copy.deepcopy(config)
        if name == "held_out":
            plain.video_encoder.views = 1
        data[name] = Data(
            shards, features_of(plain, shards, name, video_encoder) if config.datasets[name].camera else None
        )
    assert video_encoder is not None
    return data, video_encoder


def train(config: Config, arm: Arm, seed: int, epochs: int, data: Data, video_encoder: VideoEncoder) -> ImuPretraining:
    """Pretrain one model, and take that of the last epoch, since nothing is selected here.

    For a model without alignment, the two projections of the alignment are fitted afterwards, with all other weights
    fixed. This shows how much its tokens and frames know about time.
    """
    config = copy.deepcopy(config)
    config.pretraining.dataset = arm.clocks
    config.pretraining.validation_share = 0.0
    config.run.seed = seed
    config.trainer.max_epochs = epochs
    config.loss.alignment.weight = arm.weight
    config.loss.order.weight = arm.order
    config.loss.alignment.max_shift_s = arm.max_shift_s
    windows = make_data_module(config, data.shards, data.features)
    L.seed_everything(seed, verbose=False)
    module = make_module(config, data.shards, video_encoder, data.features, windows)
    _fit(config, module, windows)
    if arm.weight or arm.order:
        return module.eval()
    config.loss.alignment.weight = 1.0
    aligned = make_module(config, data.shards, video_encoder, data.features, windows)
    missing = aligned.load_state_dict(module.state_dict(), strict=False)
    assert not missing.unexpected_keys
    assert all(name.startswith("objectives.alignment.") for name in missing.missing_keys)
    for name, parameter in aligned.named_parameters():
        parameter.requires_grad = name.startswith("objectives.alignment.")
    _fit(config, aligned, windows)
    return aligned.eval()


def _fit(config: Config, module: ImuPretraining, windows: PretrainingDataModule) -> None:
    trainer = L.Trainer(
        max_epochs=config.trainer.max_epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        gradient_clip_val=config.optim.gradient_clip or None,
        limit_val_batches=0,
    )
    trainer.fit(module, windows)


@torch.inference_mode()
def offset_errors_ms(config: Config, model: ImuPretraining, data: Data) -> list[float]:
    """Compute the estimated minus the true clock offset of each recording, milliseconds."""
    inside = next(objective for objective in model.objectives.values() if isinstance(objective, TokenObjective))
    reader = PretrainingDataModule(
        data.shards, data.features, batch_size=1, normalisation=config.pretraining.normalisation, validation_share=0.0
    )
    truth = Simulator(SimulatorParams(**config.datasets["held_out"].source.params))
    errors = []
    for name in np.unique(data.shards.table["recording"]):
        windows = np.intersect1d(np.flatnonzero(data.shards.table["recording"] == name), reader.training_windows)
        batch = reader.read(windows)
        imu = model.imu_encoder(batch["imu"], batch["channel_mask"], batch["sample_mask"])
        imu_tokens, frame_tokens = inside.tokens(imu, model.encode_video(batch))
        compared = (
            imu_tokens,
            imu.token_times,
            imu.token_mask,
            frame_tokens,
            batch["frame_times"],
            batch["frame_mask"],
            CANDIDATES_S,
        )
        # The order loss has no likelihood of a shift, so mean similarities are compared.
        if isinstance(inside, AlignmentObjective):
            evidence, _ = inside.loss.log_likelihood(*compared)
        else:
            evidence = shift_scores(*compared)
        # Sensor stamps + offset = video stamps: with a positive offset, sensor stamps are early.
        found = -recording_shift(evidence, CANDIDATES_S).shift_s
        errors.append(1000 * (found - truth.true_clock_offset(str(name))))
    return errors


def few_shot(config: Config, model: ImuPretraining, shards: ShardSet) -> dict[int, float]:
    """Average balanced accuracy over draws for each number of shots; no subject is on both sides."""
    table = shards.table
    features = _pooled(config, model, shards)
    _, labels = np.unique(table["activity"], return_inverse=True)
    labelled = np.flatnonzero(table["activity"] != "")
    subjects = np.unique(table["subject"])
    scores: dict[int, list[float]] = {shots: [] for shots in SHOTS}
    for draw in range(DRAWS):
        known = np.random.default_rng([draw, 7]).permutation(subjects)[: len(subjects) // 2]
        is_known = np.isin(table["subject"][labelled], known)
        pool, test = labelled[is_known], labelled[~is_known]
        standardisation = Standardisation.of(features[pool])
        for shots in SHOTS:
            support, _ = draw_support(table, pool, shots, ["alignment benchmark", draw])
            _, targets = np.unique(labels[support], return_inverse=True)
            present = np.unique(labels[support])
            probe = fit_probe(features[support], targets, len(present), standardisation, config.evaluation.probe_c)
            said = present[probe.probabilities(features[test]).argmax(1)]
            asked = np.isin(labels[test], present)
            scores[shots].append(float(balanced_accuracy_score(labels[test][asked], said[asked])))
    return {shots: float(np.mean(values)) for shots, values in scores.items()}


@torch.inference_mode()
def _pooled(config: Config, model: ImuPretraining, shards: ShardSet) -> NDArray[np.float32]:
    batches = ImuBatches(shards, np.arange(shards.n_windows), config.pretraining.normalisation)
    parts = [model.imu_encoder(b["imu"], b["channel_mask"], b["sample_mask"]).pooled.numpy() for b in batches]
    return np.concatenate(parts)
