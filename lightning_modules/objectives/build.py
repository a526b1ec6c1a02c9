"""The objectives that settings ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from encoders.contract import ImuEncoder, VideoHead
from lightning_modules.losses.temporal_alignment import TemporalAlignmentParams
from lightning_modules.objectives.alignment import AlignmentObjective
from lightning_modules.objectives.consistency import ConsistencyObjective
from lightning_modules.objectives.contrastive import ContrastiveObjective

if TYPE_CHECKING:
    from lightning_modules.pretraining import PretrainingSettings


def build_objectives(
    settings: PretrainingSettings, imu_encoder: ImuEncoder, video_head: VideoHead | None
) -> tuple[nn.ModuleDict, dict[str, float]]:
    """Objectives by name, and their weights; those of weight 0 are not built.

    Raises:
        ValueError: an unknown loss, or nothing to minimise.
    """
    s = settings
    objectives = nn.ModuleDict()
    weights: dict[str, float] = {}
    if s.contrastive != "none":
        objectives["contrastive"], weights["contrastive"] = ContrastiveObjective(s.contrastive), 1.0
    if s.alignment_weight:
        assert video_head is not None
        params = TemporalAlignmentParams(width_s=s.alignment_width_s, temperature=s.alignment_temperature)
        objectives["alignment"] = AlignmentObjective(
            imu_encoder.token_width, video_head.token_width, s.alignment_dim, params
        )
        weights["alignment"] = s.alignment_weight
    if s.consistency_weight:
        objectives["consistency"] = ConsistencyObjective(imu_encoder.pooled_width, s.consistency_temperature)
        weights["consistency"] = s.consistency_weight
    if not objectives:
        raise ValueError("loss: nothing to minimise: loss.contrastive is 'none' and all weights are 0; set one of them")
    return objectives, weights
