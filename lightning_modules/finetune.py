"""Fine-tuning, and training from scratch, of an IMU encoder with a linear classifier.

Fine-tuning starts from a fitted linear probe. A random classifier's first large gradients would distort the pretrained
features (Kumar et al. 2022, "Fine-tuning can distort pretrained features and underperform out-of-distribution").

Shape legend: B windows, T samples, P pooled width, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.contract import ImuEncoder
from lightning_modules.monitoring.finite import FiniteGuard
from lightning_modules.optim import FusedTraining, warmup_cosine
from lightning_modules.probe import LinearProbe

Batch = dict[str, Any]


@dataclass(frozen=True)
class FineTuneSettings:
    """Settings of the training.

    Attributes:
        encoder_lr: peak learning rate of the encoder; 0 does not train it.
        head_lr: peak learning rate of the classifier.
        weight_decay: decoupled weight decay of matrices.
        warmup_share: share of the steps in which the rates rise; afterwards they fall to 0 as a cosine.
        total_steps: number of optimiser steps.
    """

    encoder_lr: float
    head_lr: float
    weight_decay: float = 0.05
    warmup_share: float = 0.1
    total_steps: int = 1


class StandardisedLinear(nn.Module):
    """A linear classifier after a standardisation with fixed mean and scale."""

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int, n_classes: int, probe: LinearProbe | None = None) -> None:
        super().__init__()
        self.linear = nn.Linear(width, n_classes)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        if probe is not None:
            self.mean.copy_(torch.from_numpy(probe.standardisation.mean))
            self.scale.copy_(torch.from_numpy(probe.standardisation.scale))
            with torch.no_grad():
                self.linear.weight.copy_(torch.from_numpy(probe.weight))
                self.linear.bias.copy_(torch.from_numpy(probe.bias))

    def forward(self, features: Tensor) -> Tensor:
        """Compute logits, (B, P) -> (B, C)."""
        logits: Tensor = self.linear((features - self.mean) / self.scale)
        return logits


class FineTune(FusedTraining):
    """Joint training of encoder and classifier.

    Args:
        encoder: encoder, which is trained in place; pass a copy.
        n_classes: C.
        settings: settings of the training.
        probe: fitted probe that initialises the classifier; None initialises it at random.
    """

    def __init__(
        self,
        encoder: ImuEncoder,
        n_classes: int,
        settings: FineTuneSettings,
        probe: LinearProbe | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.encoder = encoder
        self.head = StandardisedLinear(encoder.pooled_width, n_classes, probe)

    def forward(self, batch: Batch) -> Tensor:
        """Compute logits (B, C)."""
        pooled = self.encoder(batch["imu"], batch["channel_mask"], batch["sample_mask"]).pooled
        logits: Tensor = self.head(pooled)
        return logits

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Compute the cross-entropy of a batch."""
        return F.cross_entropy(self(batch), batch["label"])

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Compute class probabilities (B, C)."""
        return torch.softmax(self(batch).double(), dim=1)

    def configure_optimizers(self) -> Any:
        """Create AdamW with separate rates for encoder and classifier, and a schedule with warm-up and cosine."""
        s = self.settings
        groups: list[dict[str, Any]] = []
        for part, lr in ((self.encoder, s.encoder_lr), (self.head, s.head_lr)):
            trained = [p for p in part.parameters() if p.requires_grad and lr > 0]
            for is_matrix, decay in ((True, s.weight_decay), (False, 0.0)):
                chosen = [p for p in trained if (p.ndim >= 2) == is_matrix]
                if chosen:
                    groups.append({"params": chosen, "lr": lr, "weight_decay": decay})
        optimizer = torch.optim.AdamW(groups, lr=s.head_lr, betas=(0.9, 0.98), fused=self.may_fuse())
        scheduler = warmup_cosine(optimizer, s.total_steps, round(s.warmup_share * s.total_steps), 0.0)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def train(
    module: FineTune,
    data: L.LightningDataModule,
    accelerator: str = "cpu",
    precision: str = "32-true",
    gradient_clip: float = 1.0,
) -> None:
    """Train for ``module.settings.total_steps``.

    The caller seeds torch's random state, which dropout uses.
    """
    steps = module.settings.total_steps
    trainer = quiet_trainer(accelerator, precision=precision, max_steps=steps, gradient_clip_val=gradient_clip)
    trainer.fit(module, datamodule=data)
    if trainer.interrupted:
        raise KeyboardInterrupt


def predict_windows(module: FineTune, data: L.LightningDataModule, accelerator: str = "cpu") -> Tensor:
    """Predict the class probabilities of ``data``'s windows to predict, (N, C), in their order."""
    predictions = quiet_trainer(accelerator).predict(module, datamodule=data)
    assert predictions is not None
    return torch.cat([p for p in predictions if isinstance(p, Tensor)]).cpu()


def quiet_trainer(accelerator: str, precision: str = "32-true", **options: Any) -> L.Trainer:
    """Make a trainer on one device that writes and prints nothing, and stops at a loss that is not finite."""
    callbacks = [FiniteGuard(), *options.pop("callbacks", [])]
    return L.Trainer(
        max_epochs=-1,
        accelerator=accelerator,
        devices=1,
        precision=precision,  # type: ignore[arg-type]
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        callbacks=callbacks,
        **options,
    )
