"""A small pretraining module with every objective, and a batch for it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from lightning_modules.pretraining import ImuPretraining
from lightning_modules.settings import PretrainingSettings

N, T, F, D, EXPERT = 8, 100, 6, 12, 5
CLASSES = {"lab": ["sit", "walk"], "home": ["lie", "walk"]}
SPACE = {"width": 32, "dropout": 0.0}


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
        "shared_space": SPACE,
        "total_steps": 10,
        "expert_width": EXPERT,
        "labels": CLASSES,
    }
    return asdict(PretrainingSettings.of({**own, **changes}))


def checkpoint_content(module: ImuPretraining) -> dict[str, Any]:
    """What a checkpoint of this module holds after seven steps."""
    return {
        "state_dict": module.state_dict(),
        "hyper_parameters": dict(module.hparams),
        "global_step": 7,
        "optimizer_states": [],
        "lr_schedulers": [],
        "loops": {},
    }


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
        "expert": torch.randn(N, EXPERT, generator=generator).masked_fill(torch.arange(N)[:, None] == 3, torch.nan),
        "activity": torch.tensor([0, 2, 0, 2, 1, 3, -1, 2]),
        "person": torch.arange(N) // 2 % 3,
        "views": views,
    }


def rows_of(batch: dict[str, Any], rows: Tensor) -> dict[str, Any]:
    """A batch of some windows of a batch of one set."""
    part = {key: value[rows] for key, value in batch.items() if isinstance(value, Tensor)}
    return {**part, "views": [{key: value[rows] for key, value in view.items()} for view in batch["views"]]}


def mixed(batch: dict[str, Any], sets: Tensor, with_video: tuple[int, ...]) -> dict[str, Any]:
    """A batch of one set as one of several: ``sets`` (B,) says whose each window is; only some sets have video."""
    has_video = torch.isin(sets, torch.tensor(with_video, dtype=torch.int64))
    paired = has_video.nonzero()[:, 0]
    numbers = range(int(sets.max()) + 1)
    return {
        **batch,
        "features": batch["features"][paired],
        "frame_mask": batch["frame_mask"] & has_video[:, None],
        "frame_times": torch.where(has_video[:, None], batch["frame_times"], 0),
        "set": sets,
        "rows": [(sets == i).nonzero()[:, 0] for i in numbers],
        "paired": paired,
        "video_rows": [(sets[paired] == i).nonzero()[:, 0] for i in numbers],
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


ALONE = {"contrastive": {"weight": 0.0}, "order": {"weight": 0.0}, "consistency": {"weight": 0.0}}


def alone(**objectives: dict[str, Any]) -> dict[str, Any]:
    """Only these objectives."""
    return {"loss": {**ALONE, **objectives}}


PATCHTST = {"imu_encoder": {"name": "patchtst", "params": {"width": 8, "depth": 2, "heads": 2, "norm": "layer"}}}


OBJECTIVES: dict[str, dict[str, Any]] = {
    "ours": {},
    "moments": {"loss": {"alignment": {"weight": 0.5}}},
    "clocks that disagree": {"loss": {"alignment": {"weight": 0.5, "max_shift_s": 0.5}}},
    "frame order": alone(order={"weight": 1.0, "count": 6}),
    "softmax": {"loss": {"contrastive": {"pairs": "softmax"}}, "shared_space": {**SPACE, "same_recording_gap_s": 6.0}},
    "soft targets": {"loss": {"contrastive": {"pairs": "soft_targets"}}},
    "distillation": {**alone(distillation={"weight": 1.0, "queue_size": 20}), **NO_HEAD},
    "neighbours": {"loss": {"contrastive": {"pairs": "softmax"}, "neighbours": {"weight": 1.0, "queue_size": 20}}},
    "masked": {**alone(masked={"weight": 1.0}), "video_head": None},
    "masked patchtst": {**alone(masked={"weight": 1.0}), "video_head": None, **PATCHTST},
    "expert": {**alone(expert={"weight": 1.0}), "video_head": None},
    "pretext": {**alone(pretext={"weight": 1.0}), "video_head": None},
    "labels": {**alone(labels={"weight": 1.0}), "video_head": None},
    "views alone": {**alone(consistency={"weight": 1.0}), "video_head": None},
}
