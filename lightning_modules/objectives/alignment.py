"""Temporal alignment inside a window: the IMU at a frame's time resembles that frame.

Shape legend: B windows, V views, A width of the space of the comparison.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from core.settings import setting
from lightning_modules.losses.temporal_alignment import TemporalAlignmentLoss, TemporalAlignmentParams
from lightning_modules.objectives.objective import ObjectiveSettings, Parts, objective
from lightning_modules.objectives.step import Step
from lightning_modules.objectives.tokens import TokenObjective


@dataclass
class AlignmentSettings(ObjectiveSettings):
    """Alignment of IMU and frames moment by moment."""

    weight: float = setting(0.0, "weight of aligning IMU and frames moment by moment; 0 leaves it out", at_least=0)
    width_s: float = setting(0.25, "standard deviation of the Gaussian target, seconds", above=0)
    temperature: float = setting(0.1, "temperature at the start; it is learnt", above=0)
    max_shift_s: float = setting(
        0.0, "clocks of a recording may disagree by up to this, seconds; 0 trusts them", at_least=0
    )
    shift_step_s: float = setting(0.05, "step between the shifts that are tried, seconds", above=0)
    width: int = setting(128, "width of the space in which tokens and frames are compared", at_least=1)

    def check(self) -> None:
        """Refuse clocks that may disagree in a loss that is left out."""
        if self.max_shift_s and not self.weight:
            raise ValueError(
                "max_shift_s: it lets clocks disagree in a loss whose weight is 0; found"
                f" {self.max_shift_s}, expected 0, or a weight: loss.alignment.weight=0.5"
            )


@objective(AlignmentSettings)
class AlignmentObjective(TokenObjective):
    """The temporal alignment loss; see :class:`TemporalAlignmentLoss`.

    Args:
        settings: of the objective.
        parts: of the module.
    """

    def __init__(self, settings: AlignmentSettings, parts: Parts) -> None:
        super().__init__(settings.width, parts)
        self.loss = TemporalAlignmentLoss(
            TemporalAlignmentParams(
                width_s=settings.width_s,
                temperature=settings.temperature,
                max_shift_s=settings.max_shift_s,
                shift_step_s=settings.shift_step_s,
            )
        )

    def forward(self, step: Step) -> Tensor:
        """Compute the mean over views."""
        recordings = step.batch["recording"].repeat(len(step.views))  # whose windows share what the clocks differ by
        loss: Tensor = self.loss(*self.compared(step), recordings)
        return loss
