"""A small pretraining module with every objective, and a batch for it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from lightning_modules.pretraining import ImuPretraining, PretrainingSettings

N, T, F, D = 8, 100, 6, 12


def settings(**changes: Any) -> dict[str, Any]:
    own: dict[str, Any] = {
        "imu_encoder": {
            "name": "cnn_transformer",
            "params": {"width": 16, "depth": 1, "heads": 2, "stem_channels": [8, 16], "dropout": 0.0},
        },
        "imu_input": {"samples": T, "rate_hz": 50.0},
        "video_head": {
            "name": "temporal",
            "params": {"width": 16, "depth": 1, "heads": 2, "dropout": 0.0, "input_dropout": 0.0},
        },
        "frame_width": D,
        "projection_width": 32,
        "projection_dropout": 0.0,
        "consistency_weight": 0.5,
        "total_steps": 10,
    }
    return asdict(PretrainingSettings(**{**own, **changes}))


def make_batch(seed: int = 0) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    imu = torch.randn(N, T, 6, generator=generator)
    sample_mask = torch.ones(N, T, dtype=torch.bool)
    sample_mask[0, 70:] = False
    frame_mask = torch.rand(N, F, generator=generator) < 0.8
    frame_mask[:, :2] = True
    frame_times = (torch.arange(F) * 0.3 + 0.1).expand(N, -1).clone()
    views = []
    for _ in range(2):
        view = imu + 0.1 * torch.randn(N, T, 6, generator=generator)
        views.append(
            {
                "imu": view * sample_mask[..., None],
                "sample_mask": sample_mask,
                "channel_mask": torch.ones(N, 6, dtype=torch.bool),
                "frame_times": frame_times,
            }
        )
    return {
        "imu": imu * sample_mask[..., None],
        "sample_mask": sample_mask,
        "channel_mask": torch.ones(N, 6, dtype=torch.bool),
        "features": torch.randn(N, F, D, generator=generator).half(),
        "frame_times": frame_times,
        "frame_mask": frame_mask,
        "recording": torch.arange(N) // 2,
        "start_s": torch.arange(N).double() % 2 * 5,
        "views": views,
    }


class Step(nn.Module):
    """DDP wraps ``forward``; Lightning's strategy does the same with the training step."""

    def __init__(self, module: ImuPretraining) -> None:
        super().__init__()
        self.module = module

    def forward(self, batch: dict[str, Any]) -> Tensor:
        return self.module.training_step(batch, 0)


def make_step(**changes: Any) -> Step:
    torch.manual_seed(0)
    module = ImuPretraining(**settings(**changes))
    module.log = lambda *_, **__: None  # type: ignore[method-assign]  # there is no trainer to log to
    return Step(module)


NO_HEAD = {"video_head": {"name": "mean", "params": {}}}


ALONE = {"contrastive": "none", "alignment_weight": 0.0, "consistency_weight": 0.0}


PATCHTST = {"imu_encoder": {"name": "patchtst", "params": {"width": 8, "depth": 2, "heads": 2, "norm": "layer"}}}


OBJECTIVES: dict[str, dict[str, Any]] = {
    "ours": {},
    "clocks that disagree": {"alignment_max_shift_s": 0.5},
    "frame order": {**ALONE, "order_weight": 1.0, "order_count": 6},
    "softmax": {"contrastive": "softmax", "same_recording_gap_s": 6.0},
    "soft targets": {"contrastive": "soft_targets"},
    "distillation": {**ALONE, "contrastive": "distillation", "queue_size": 20, **NO_HEAD},
    "neighbours": {"contrastive": "softmax", "neighbour_weight": 1.0, "queue_size": 20},
    "masked": {**ALONE, "masked_weight": 1.0, "video_head": None},
    "masked patchtst": {**ALONE, "masked_weight": 1.0, "video_head": None, **PATCHTST},
    "views alone": {**ALONE, "consistency_weight": 1.0, "video_head": None},
}
