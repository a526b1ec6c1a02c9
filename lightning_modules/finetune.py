"""An IMU encoder with a linear classifier, trained end to end: fine-tuning, and training from scratch.

Fine-tuning starts from a fitted linear probe: from a random classifier, the first large gradients distort
what the encoder has learnt (Kumar et al. 2022, "Fine-tuning can distort pretrained features and underperform
out-of-distribution").

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
from lightning_modules.optim import warmup_cosine
from lightning_modules.probe import LinearProbe

Batch = dict[str, Any]


@dataclass(frozen=True)
class FineTuneSettings:
    """How it is trained.

    Attributes:
        encoder_lr: peak learning rate of the encoder; 0 leaves it as it is.
        head_lr: of the classifier.
        weight_decay: decoupled, on matrices only.
        warmup_share: share of the steps in which the rates rise; a cosine brings them to 0 after.
        total_steps: optimiser steps.
    """

    encoder_lr: float
    head_lr: float
    weight_decay: float = 0.05
    warmup_share: float = 0.1
    total_steps: int = 1


class StandardisedLinear(nn.Module):
    """A linear classifier of features that are standardised first, by fixed figures."""

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
        """(B, P) -> logits (B, C)."""
        logits: Tensor = self.linear((features - self.mean) / self.scale)
        return logits


class FineTune(L.LightningModule):
    """Encoder and classifier, both trained.

    Args:
        encoder: trained in place; hand over a copy.
        n_classes: C.
        settings: how it is trained.
        probe: what the classifier starts from; None starts it at random.
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
        """Logits (B, C)."""
        pooled = self.encoder(batch["imu"], batch["channel_mask"], batch["sample_mask"]).pooled
        logits: Tensor = self.head(pooled)
        return logits

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Cross-entropy."""
        return F.cross_entropy(self(batch), batch["label"])

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Class probabilities (B, C)."""
        return torch.softmax(self(batch).double(), dim=1)

    def configure_optimizers(self) -> Any:
        """AdamW with a rate for each part, warm-up and cosine."""
        s = self.settings
        groups: list[dict[str, Any]] = []
        for part, lr in ((self.encoder, s.encoder_lr), (self.head, s.head_lr)):
            trained = [p for p in part.parameters() if p.requires_grad and lr > 0]
            for is_matrix, decay in ((True, s.weight_decay), (False, 0.0)):
                chosen = [p for p in trained if (p.ndim >= 2) == is_matrix]
                if chosen:
                    groups.append({"params": chosen, "lr": lr, "weight_decay": decay})
        optimizer = torch.optim.AdamW(groups, lr=s.head_lr, betas=(0.9, 0.98))
        scheduler = warmup_cosine(optimizer, s.total_steps, round(s.warmup_share * s.total_steps), 0.0)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def train(module: FineTune, data: L.LightningDataModule, accelerator: str = "cpu", gradient_clip: float = 1.0) -> None:
    """Train for ``module.settings.total_steps``.

    Whoever calls this fixes torch's random state, which dropout draws from.
    """
    trainer = _trainer(accelerator, max_steps=module.settings.total_steps, gradient_clip_val=gradient_clip)
    trainer.fit(module, datamodule=data)
    if trainer.interrupted:
        raise KeyboardInterrupt


def predict_windows(module: FineTune, data: L.LightningDataModule, accelerator: str = "cpu") -> Tensor:
    """Probabilities of the windows that ``data`` has to predict, (N, C), in their order."""
    predictions = _trainer(accelerator).predict(module, datamodule=data)
    assert predictions is not None
    return torch.cat([p for p in predictions if isinstance(p, Tensor)]).cpu()


def _trainer(accelerator: str, **options: Any) -> L.Trainer:
    return L.Trainer(
        max_epochs=-1,
        accelerator=accelerator,
        devices=1,
        precision="32-true",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        **options,
    )
