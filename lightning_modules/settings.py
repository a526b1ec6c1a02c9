"""Settings of pretraining, composed of those that each part declares beside its class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from core.registry import merge_params
from core.settings import setting
from lightning_modules.losses.negatives import NEGATIVES
from lightning_modules.objectives.alignment import AlignmentSettings
from lightning_modules.objectives.consistency import ConsistencySettings
from lightning_modules.objectives.contrastive import ContrastiveSettings
from lightning_modules.objectives.distillation import DistillationSettings
from lightning_modules.objectives.expert import ExpertSettings
from lightning_modules.objectives.labels import LabelSettings
from lightning_modules.objectives.masked import MaskedSettings
from lightning_modules.objectives.neighbours import NeighbourSettings
from lightning_modules.objectives.objective import ObjectiveSettings
from lightning_modules.objectives.order import OrderSettings
from lightning_modules.objectives.pretext import PretextSettings
from lightning_modules.optim import OptimSettings


@dataclass
class LossSettings:
    """The objectives; their weighted sum is minimised. A new objective gets a line at the end.

    Objectives are made in this order, which fixes the random numbers of their first weights.
    """

    contrastive: ContrastiveSettings = setting(ContrastiveSettings(), "IMU windows against their clips")
    distillation: DistillationSettings = setting(DistillationSettings(), "similarities of videos, taken over")
    alignment: AlignmentSettings = setting(AlignmentSettings(), "IMU and frames, moment by moment")
    order: OrderSettings = setting(OrderSettings(), "the true order of frames against others")
    consistency: ConsistencySettings = setting(ConsistencySettings(), "two views of a window")
    masked: MaskedSettings = setting(MaskedSettings(), "hidden patches, filled in")
    neighbours: NeighbourSettings = setting(NeighbourSettings(), "nearest neighbours from a queue")
    expert: ExpertSettings = setting(ExpertSettings(), "handcrafted features, regressed")
    pretext: PretextSettings = setting(PretextSettings(), "changes of a window, recognised")
    labels: LabelSettings = setting(LabelSettings(), "labels of the sources' windows")

    def chosen(self) -> dict[str, ObjectiveSettings]:
        """Return the settings of the objectives that have a weight, by name."""
        all_of_them: dict[str, ObjectiveSettings] = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: settings for name, settings in all_of_them.items() if settings.weight}

    def check(self) -> None:
        """Refuse objectives that exclude each other, and a loss without any."""
        if self.contrastive.weight and self.distillation.weight:
            raise ValueError(
                "distillation.weight: the student comes to the teacher's space, which is not the contrastive one;"
                " set loss.contrastive.weight=0"
            )
        if not self.chosen():
            raise ValueError("contrastive.weight: nothing to minimise, all weights are 0; set one of them")


@dataclass
class SharedSpaceSettings:
    """The space that IMU and video share."""

    width: int = setting(512, "width of the space shared by IMU and video", at_least=1)
    dropout: float = setting(0.1, "dropout in both projection heads", at_least=0, below=1)
    same_recording_gap_s: float = setting(
        0.0, "closer windows of one recording are no negatives, seconds; 0 keeps all", at_least=0
    )
    negatives: str = setting(
        "all", "of several sets: 'all' clips are negatives, or those of a window's 'own_set'", choices=NEGATIVES
    )


@dataclass(frozen=True)
class PretrainingSettings:
    """What the module is made from; as plain values, the hyper-parameters of a checkpoint.

    Attributes:
        imu_encoder: ``{"name": ..., "params": {...}}`` for the registry.
        imu_input: ``{"samples": T, "rate_hz": ...}``.
        video_head: as ``imu_encoder``; None without video.
        frame_width: width of the video encoder's frame tokens.
        loss: the objectives and their weights.
        shared_space: the space that IMU and video share.
        optim: the optimiser.
        total_steps: optimiser steps of the whole run.
        seed: of dropout; with the step and rank it fixes every draw.
        max_shift_s: validation finds shifts up to this.
        normalisation: of the IMU, for later users of the encoder.
        window: settings that the windows were cut with, for later users of the encoder.
        pretraining_subjects: "source/subject" of every subject seen, for the guard of the evaluation.
        excluded_activities: windows with these labels were left out.
        video_encoder: name, weights, fingerprint of the encoder of the frame features, and whether it was frozen.
        simulated: trained on simulated data.
        sets: names of the data sets, where several are mixed.
        labels: activities of each data set whose labels were learnt from, by its name; empty if no label was used.
        expert_width: number of handcrafted features that were learnt; 0 if none.
        development_subjects: "source/subject" of everybody on whom the settings were chosen; None if not recorded.
        shuffled_video: a control: windows had the pictures of others of the same "activity", "subject", or of "all".
    """

    imu_encoder: dict[str, Any]
    imu_input: dict[str, Any]
    video_head: dict[str, Any] | None = None
    frame_width: int = 0
    loss: LossSettings = field(default_factory=LossSettings)
    shared_space: SharedSpaceSettings = field(default_factory=SharedSpaceSettings)
    optim: OptimSettings = field(default_factory=OptimSettings)
    total_steps: int = 1
    seed: int = 0
    max_shift_s: float = 1.0
    normalisation: str = "physical"
    window: dict[str, Any] | None = None
    pretraining_subjects: list[str] | None = None
    excluded_activities: list[str] | None = None
    video_encoder: dict[str, Any] | None = None
    simulated: bool = False
    sets: list[str] = field(default_factory=list)
    labels: dict[str, list[str]] = field(default_factory=dict)
    expert_width: int = 0
    development_subjects: list[str] | None = None
    shuffled_video: str = "none"

    @classmethod
    def of(cls, hyper_parameters: Mapping[str, Any]) -> PretrainingSettings:
        """Make settings from plain values, such as those of a checkpoint.

        Raises:
            UnknownNameError: there is no such setting.
            ValueError: a setting has a value of the wrong type.
            TypeError: a setting is missing or unknown.
        """
        groups = {"loss": LossSettings, "shared_space": SharedSpaceSettings, "optim": OptimSettings}
        values = dict(hyper_parameters)
        for name, group in groups.items():
            if isinstance(values.get(name), Mapping):
                values[name] = merge_params(name, group, values[name])
        return cls(**values)
