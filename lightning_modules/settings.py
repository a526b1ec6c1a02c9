"""Settings of pretraining, composed of those that each part declares beside its class."""

from __future__ import annotations

from dataclasses import dataclass, fields

from core.settings import setting
from lightning_modules.losses.negatives import NEGATIVES
from lightning_modules.objectives.alignment import AlignmentSettings
from lightning_modules.objectives.consistency import ConsistencySettings
from lightning_modules.objectives.contrastive import ContrastiveSettings
from lightning_modules.objectives.distillation import DistillationSettings
from lightning_modules.objectives.masked import MaskedSettings
from lightning_modules.objectives.neighbours import NeighbourSettings
from lightning_modules.objectives.objective import ObjectiveSettings
from lightning_modules.objectives.order import OrderSettings


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

    def chosen(self) -> dict[str, ObjectiveSettings]:
        """Return the settings of the objectives that have a weight, by name."""
        all_of_them: dict[str, ObjectiveSettings] = {field.name: getattr(self, field.name) for field in fields(self)}
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
