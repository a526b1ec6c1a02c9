"""Data sets, training and measures of ``benchmarks.alignment``."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score
from torch import Tensor

from datamodules.augment import ImuAugmentation
from datamodules.ood import ImuBatches
from datamodules.pretraining import PretrainingDataModule
from datamodules.shards.feature_cache import FeatureCache
from datamodules.shards.reader import ShardSet
from datamodules.sources.simulator import Simulator, SimulatorParams
from datamodules.splits import draw_support
from encoders.contract import VideoEncoder
from encoders.video_head import TemporalHead
from experiments.config import load
from experiments.datasets import open_dataset
from experiments.schema import Config, DatasetConfig, SourceConfig
from experiments.video_tower import features_of, open_tower
from lightning_modules.linear_probe import Standardisation, fit_probe
from lightning_modules.losses.clock_shift import recording_shift
from lightning_modules.losses.temporal_alignment import TemporalAlignmentLoss, TemporalAlignmentParams
from lightning_modules.objectives import Step
from lightning_modules.objectives.alignment import AlignmentObjective
from lightning_modules.pretraining import ImuPretraining

SHOTS = (1, 5, 20)
DRAWS = 20  # of people and of labelled windows
CANDIDATES_S = torch.arange(-14, 15) * 0.05  # beyond the largest offset, but few frames at the windows' ends lost


@dataclass(frozen=True)
class Arm:
    """One way to pretrain.

    Attributes:
        name: in the table.
        clocks: the data set: "agree" or "off".
        weight: of the alignment loss.
        params: of the alignment loss, beside the configuration's.
        share: windows of one recording share a shift.
    """

    name: str
    clocks: str
    weight: float = 0.5
    params: dict[str, Any] = field(default_factory=dict)
    share: bool = True

    @property
    def key(self) -> str:
        """All of it, as text."""
        return repr(self)


@dataclass(frozen=True)
class Data:
    """One set of windows with the features of their clips; ``features`` is None without clips."""

    shards: ShardSet
    features: FeatureCache | None


def settings(folder: Path, clock_s: float) -> Config:
    """The simulator's configuration, with the data sets that the benchmark needs beside it.

    Args:
        folder: for shards, tower and features.
        clock_s: how far apart clocks may be, seconds.
    """
    config = load("simulator", [f"paths.data={folder}", f"paths.runs={folder / 'runs'}"])
    shown: dict[str, Any] = {**config.datasets["pretraining"].source.params, "max_clock_offset_s": 0.0}
    people = {"subjects": 12, "sessions_per_subject": 2, "first_subject": 100}
    made = {
        "agree": shown,
        "off": {**shown, "max_clock_offset_s": clock_s},
        "held_out": {**shown, **people, "max_clock_offset_s": clock_s},
        "few_shot": {**shown, **people, "cameras": []},
    }
    for name, params in made.items():
        camera = "" if name == "few_shot" else "head"
        config.datasets[name] = DatasetConfig(SourceConfig("simulator", params), placement="head", camera=camera)
    return config


def open_data(config: Config) -> tuple[dict[str, Data], VideoEncoder]:
    """All data sets, built where they are missing, and the video tower, which never saw the people held out."""
    data: dict[str, Data] = {}
    tower: VideoEncoder | None = None
    for name in ("agree", "off", "held_out", "few_shot"):
        shards = open_dataset(config, name)
        if tower is None:
            tower = open_tower(config, shards)
        plain = copy.deepcopy(config)
        if name == "held_out":
            plain.video_encoder.views = 1
        data[name] = Data(shards, features_of(plain, shards, name, tower) if config.datasets[name].camera else None)
    assert tower is not None
    return data, tower


class RecordingAlignment(AlignmentObjective):
    """The alignment objective, told which recording each window is from."""

    def forward(self, step: Step) -> Tensor:
        """Each view against the frames; all views of all windows of a recording share its shift."""
        assert step.video is not None
        views = len(step.views)
        imu_tokens, frame_tokens = self.tokens(step.imu, step.video)
        loss: Tensor = self.loss(
            imu_tokens,
            step.imu.token_times,
            step.imu.token_mask,
            frame_tokens.repeat(views, 1, 1),
            torch.cat([view["frame_times"] for view in step.views]),
            step.batch["frame_mask"].repeat(views, 1),
            step.batch["recording"].repeat(views),
        )
        return loss


def train(config: Config, arm: Arm, seed: int, epochs: int, data: Data, tower: VideoEncoder) -> ImuPretraining:
    """Pretrain one model; the last epoch's is taken, as nothing is selected here."""
    p, loss = config.pretraining, config.loss
    module_data = PretrainingDataModule(
        data.shards,
        data.features,
        batch_size=p.batch_size,
        normalisation=p.normalisation,
        validation_share=0.0,
        augmentation=ImuAugmentation(**vars(p.augment)),
        views=p.views,
        seed=seed,
    )
    window = data.shards.settings
    L.seed_everything(seed, verbose=False)
    module = ImuPretraining(
        imu_encoder={"name": config.imu_encoder.name, "params": config.imu_encoder.params},
        imu_input={"samples": window.samples, "rate_hz": window.imu_rate_hz},
        video_head={"name": config.video_head.name, "params": config.video_head.params},
        frame_width=tower.token_width,
        contrastive=loss.contrastive,
        alignment_weight=arm.weight,
        alignment_width_s=loss.alignment_width_s,
        alignment_temperature=loss.alignment_temperature,
        consistency_weight=loss.consistency_weight,
        consistency_temperature=loss.consistency_temperature,
        lr=config.optim.lr,
        weight_decay=config.optim.weight_decay,
        warmup_share=config.optim.warmup_share,
        total_steps=epochs * module_data.steps_per_epoch,
        seed=seed,
    )
    if data.features is not None and isinstance(module.video_head, TemporalHead):
        mean, deviation = data.features.statistics(module_data.training_windows)
        module.video_head.set_input_statistics(torch.from_numpy(mean), torch.from_numpy(deviation))
    if arm.weight:
        alignment = module.objectives["alignment"]
        alignment.__class__ = RecordingAlignment if arm.share else AlignmentObjective
        alignment.loss = TemporalAlignmentLoss(
            TemporalAlignmentParams(
                width_s=loss.alignment_width_s, temperature=loss.alignment_temperature, **arm.params
            )
        )
    trainer = L.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        gradient_clip_val=config.optim.gradient_clip or None,
        limit_val_batches=0,
    )
    trainer.fit(module, module_data)
    return module.eval()


@torch.inference_mode()
def offset_errors_ms(config: Config, model: ImuPretraining, data: Data) -> list[float]:
    """Found minus true clock offset of each recording, milliseconds; none for a model without alignment."""
    if "alignment" not in model.objectives:
        return []
    alignment = model.objectives["alignment"]
    assert isinstance(alignment, AlignmentObjective)
    reader = PretrainingDataModule(
        data.shards, data.features, batch_size=1, normalisation=config.pretraining.normalisation, validation_share=0.0
    )
    truth = Simulator(SimulatorParams(**config.datasets["held_out"].source.params))
    errors = []
    for name in np.unique(data.shards.table["recording"]):
        windows = np.intersect1d(np.flatnonzero(data.shards.table["recording"] == name), reader.training_windows)
        batch = reader.read(windows)
        imu = model.imu_encoder(batch["imu"], batch["channel_mask"], batch["sample_mask"])
        imu_tokens, frame_tokens = alignment.tokens(imu, model.encode_video(batch))
        evidence, _ = alignment.loss.log_likelihood(
            imu_tokens,
            imu.token_times,
            imu.token_mask,
            frame_tokens,
            batch["frame_times"],
            batch["frame_mask"],
            CANDIDATES_S,
        )
        # The sensor's stamps plus the offset are the video's: they are early where it is positive.
        found = -recording_shift(evidence, CANDIDATES_S).shift_s
        errors.append(1000 * (found - truth.true_clock_offset(str(name))))
    return errors


def few_shot(config: Config, model: ImuPretraining, shards: ShardSet) -> dict[int, float]:
    """Mean balanced accuracy over draws for each number of shots; no person is on both sides."""
    table = shards.table
    features = _pooled(config, model, shards)
    _, labels = np.unique(table["activity"], return_inverse=True)
    labelled = np.flatnonzero(table["activity"] != "")
    people = np.unique(table["subject"])
    scores: dict[int, list[float]] = {shots: [] for shots in SHOTS}
    for draw in range(DRAWS):
        known = np.random.default_rng([draw, 7]).permutation(people)[: len(people) // 2]
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
