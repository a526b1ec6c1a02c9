"""What all our trainers share: little noise on the terminal, and a progress bar."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar


class TrainingBar(RichProgressBar):
    """Lightning's bar, without the logger's version."""

    def __init__(self) -> None:
        super().__init__(leave=False)

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """Metrics beside the bar."""
        metrics = dict(super().get_metrics(trainer, pl_module))
        metrics.pop("v_num", None)
        return metrics


def quiet() -> None:
    """Keep Lightning's hints off the terminal that are no news to a user of ours."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in (
        r".*Total length of .* across ranks is zero.*",  # one recording: nothing to validate on
        r".*no `val_dataloader`.*",  # the video tower is validated by what is learnt from it
        r".*smaller than the logging interval.*",  # small data sets
        r".*LeafSpec.*is deprecated.*",
        r".*does not have many workers.*",  # batches are read by a thread
        r".*your dataloader is not resumable.*",  # it asks for the step instead of keeping a state
        r".*module\(s\) in eval mode at the start of training.*",  # the frozen video tower
        r".*Checkpoint directory .* exists and is not empty.*",  # resuming
    ):
        warnings.filterwarnings("ignore", message=message)
