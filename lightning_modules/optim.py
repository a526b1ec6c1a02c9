"""AdamW, and a schedule per step with a linear warm-up and a cosine."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import lightning
import torch
from lightning.pytorch.plugins.precision import Precision
from lightning.pytorch.utilities import GradClipAlgorithmType
from torch import nn

from core.settings import setting


@dataclass
class OptimSettings:
    """AdamW with warm-up and cosine."""

    lr: float = setting(1e-3, "peak learning rate", above=0)
    min_lr: float = setting(1e-7, "learning rate at the end", at_least=0)
    weight_decay: float = setting(0.05, "decoupled; not on biases, norms and temperatures", at_least=0)
    scalar_lr_factor: float = setting(10.0, "temperatures and the sigmoid's bias learn at this times the rate", above=0)
    warmup_share: float = setting(0.05, "share of all steps in which the rate rises", at_least=0, at_most=1)
    gradient_clip: float = setting(1.0, "largest gradient norm; 0 switches clipping off", at_least=0)


FUSED = ("cuda", "cpu")  # what AdamW has a fused kernel for in all versions of torch that we run on


def adamw(
    parameters: Iterable[tuple[str, nn.Parameter]],
    lr: float,
    weight_decay: float,
    scalar_lr_factor: float = 1.0,
    fused: bool = True,
) -> torch.optim.AdamW:
    """Create an AdamW that decays matrices only, not biases, norms and temperatures.

    Args:
        parameters: names and parameters; frozen ones are left out.
        lr: peak learning rate.
        weight_decay: decoupled weight decay.
        scalar_lr_factor: factor on ``lr`` for single numbers (temperatures, the sigmoid's bias). They have a long way
            to go, from -10 for the bias, and Adam moves each weight by about ``lr`` per step.
        fused: True uses one kernel for all weights, if their device has one.
    """
    trained = [p for _, p in parameters if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay, "name": "matrices"},
        {"params": [p for p in trained if p.ndim == 1], "weight_decay": 0.0, "name": "vectors"},
        {
            "params": [p for p in trained if p.ndim == 0],
            "weight_decay": 0.0,
            "lr": lr * scalar_lr_factor,
            "name": "scalars",
        },
    ]
    fused = fused and has_fused_kernel(trained)
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=lr, betas=(0.9, 0.98), fused=fused)


def has_fused_kernel(parameters: Iterable[nn.Parameter]) -> bool:
    """Say whether one kernel can update all of these parameters; False for none."""
    devices = {p.device.type for p in parameters}
    return bool(devices) and devices <= set(FUSED)


def clip_gradients(optimizer: torch.optim.Optimizer, limit: float | None, algorithm: str | None) -> None:
    """Clip as Lightning does without mixed precision, of which it refuses to clip for a fused optimiser.

    Args:
        optimizer: whose weights' gradients are clipped.
        limit: largest norm or value; None or 0 clips nothing.
        algorithm: "norm", the default, or "value".
    """
    chosen = GradClipAlgorithmType(algorithm or GradClipAlgorithmType.NORM)
    Precision().clip_gradients(optimizer, limit or 0.0, chosen)


class FusedTraining(lightning.LightningModule):
    """A module that may have a fused optimiser, and clips gradients for it: in bfloat16 Lightning refuses that."""

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip as the trainer says; where bfloat16 is used too, which scales no gradient that would be in the way."""
        if str(self.trainer.precision).startswith("bf16"):
            clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        else:
            super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def may_fuse(self) -> bool:
        """Say whether a fused optimiser can be used: not in 16-bit floats, whose gradients are scaled."""
        scaled = self._trainer is not None and str(self.trainer.precision).startswith("16")
        return not scaled and has_fused_kernel(p for p in self.parameters() if p.requires_grad)


def warmup_cosine(
    optimizer: torch.optim.Optimizer, total_steps: int, warmup_steps: int, min_lr: float
) -> torch.optim.lr_scheduler.LambdaLR:
    """Create a schedule that rises from lr / warmup_steps to lr, then falls as a cosine to ``min_lr`` at the end."""
    peak = optimizer.param_groups[0]["lr"]
    floor = min(min_lr / peak, 1.0) if peak > 0 else 0.0

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        progress = (step - warmup_steps) / max(1, total_steps - 1 - warmup_steps)
        return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
