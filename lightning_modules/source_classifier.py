"""Training of one IMU encoder on the labels of several data sets, each with its own classifier.

Data sets call different things by different names, or the same thing by one name. A classifier per data set needs no
common names, and the encoder has to serve them all.

Shape legend: B windows, P pooled width, C classes of a data set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.settings import setting
from encoders.contract import ImuEncoder
from encoders.layers.dropout import dropout
from encoders.layers.orientation import OrientationParams
from lightning_modules.optim import warmup_cosine

Batch = dict[str, Any]


@dataclass
class SourceClassifierSettings(OrientationParams):
    """Settings of the training; chosen on SisFall's young people."""

    steps: int = setting(1500, "optimiser steps", at_least=1)
    batch_size: int = setting(96, "windows of all sets together in a step", at_least=2)
    lr: float = setting(2e-3, "peak learning rate", above=0)
    weight_decay: float = setting(0.05, "decoupled weight decay of matrices", at_least=0)
    dropout: float = setting(
        0.2, "share of the features that a step leaves out before the classifier", at_least=0, below=1
    )
    label_smoothing: float = setting(0.1, "probability spread over the other activities", at_least=0, below=1)


class SourceClassifier(L.LightningModule):
    """An encoder with a linear classifier per data set.

    Args:
        encoder: encoder, which is trained in place.
        classes: number of activities of each data set.
        settings: settings of the training.
    """

    def __init__(self, encoder: ImuEncoder, classes: Sequence[int], settings: SourceClassifierSettings) -> None:
        super().__init__()
        self.settings = settings
        self.encoder = encoder
        self.heads = nn.ModuleList(nn.Linear(encoder.pooled_width, n) for n in classes)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Compute the mean cross-entropy over all windows; ``batch["set"]`` says which classifier a window is for."""
        pooled = self.encoder(batch["imu"], batch["channel_mask"], batch["sample_mask"]).pooled
        pooled = dropout(pooled, self.settings.dropout) if self.training else pooled
        smoothing = self.settings.label_smoothing
        losses = [
            F.cross_entropy(head(pooled[own]), batch["label"][own], label_smoothing=smoothing, reduction="sum")
            for number, head in enumerate(self.heads)
            if (own := batch["set"] == number).any()
        ]
        return torch.stack(losses).sum() / len(pooled)

    def configure_optimizers(self) -> Any:
        """Create AdamW and a schedule with warm-up and cosine."""
        s = self.settings
        groups = [
            {"params": [p for p in self.parameters() if (p.ndim >= 2) == is_matrix], "weight_decay": decay}
            for is_matrix, decay in ((True, s.weight_decay), (False, 0.0))
        ]
        optimizer = torch.optim.AdamW(groups, lr=s.lr, betas=(0.9, 0.98))
        scheduler = warmup_cosine(optimizer, s.steps, round(0.3 * s.steps), 0.0)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
