"""The objectives that settings ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from encoders.contract import ImuEncoder, ImuInput, VideoHead
from lightning_modules.losses.temporal_alignment import TemporalAlignmentParams
from lightning_modules.objectives.alignment import AlignmentObjective, OrderObjective
from lightning_modules.objectives.consistency import ConsistencyObjective
from lightning_modules.objectives.contrastive import ContrastiveObjective
from lightning_modules.objectives.distillation import DistillationObjective
from lightning_modules.objectives.masked import MaskedObjective
from lightning_modules.objectives.neighbours import NeighboursObjective

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
    if s.contrastive == "distillation":
        assert video_head is not None
        if any(True for _ in video_head.parameters()):
            raise ValueError(
                "loss.contrastive: 'distillation' takes the video as it is, but the video head has something to learn;"
                " set video_head.name to 'mean' or 'middle_frame'"
            )
        objectives["distillation"] = DistillationObjective(
            video_head.pooled_width, s.queue_size, s.student_temperature, s.teacher_temperature
        )
        weights["distillation"] = 1.0
    elif s.contrastive != "none":
        objectives["contrastive"], weights["contrastive"] = ContrastiveObjective(s.contrastive), 1.0
    if s.alignment_weight:
        assert video_head is not None
        params = TemporalAlignmentParams(
            width_s=s.alignment_width_s,
            temperature=s.alignment_temperature,
            max_shift_s=s.alignment_max_shift_s,
            shift_step_s=s.alignment_shift_step_s,
        )
        objectives["alignment"] = AlignmentObjective(
            imu_encoder.token_width, video_head.token_width, s.alignment_dim, params
        )
        weights["alignment"] = s.alignment_weight
    if s.order_weight:
        assert video_head is not None
        objectives["order"] = OrderObjective(
            imu_encoder.token_width, video_head.token_width, s.alignment_dim, s.order_count
        )
        weights["order"] = s.order_weight
    if s.consistency_weight:
        objectives["consistency"] = ConsistencyObjective(imu_encoder.pooled_width, s.consistency_temperature)
        weights["consistency"] = s.consistency_weight
    if s.masked_weight:
        objectives["masked"] = MaskedObjective(imu_encoder, ImuInput(**s.imu_input), s.masked_share, s.masked_patch)
        weights["masked"] = s.masked_weight
    if s.neighbour_weight:
        objectives["neighbours"] = NeighboursObjective(
            imu_encoder.pooled_width, s.projection_width, s.queue_size, s.neighbour_temperature
        )
        weights["neighbours"] = s.neighbour_weight
    if not objectives:
        raise ValueError("loss: nothing to minimise: loss.contrastive is 'none' and all weights are 0; set one of them")
    return objectives, weights
