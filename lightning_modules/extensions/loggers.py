"""Loggers by name: TensorBoard, CSV, Weights & Biases, MLflow.

All write into the run's folder but MLflow, whose pages compare runs: it has one database beside them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger, MLFlowLogger, TensorBoardLogger, WandbLogger

from lightning_modules.extensions.registry import LOGGERS, Extension, add


class Board(TensorBoardLogger):
    """Lightning's TensorBoard logger, without its table of hyperparameters.

    That table would have more than a hundred columns; :mod:`lightning_modules.monitoring.hparams` writes a short one.
    """

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers; the epoch, which Lightning adds, joins the group of training."""
        super().log_metrics({"training/epoch" if name == "epoch" else name: metrics[name] for name in metrics}, step)

    def log_hyperparams(self, params: Any, metrics: Any = None, step: int | None = None) -> None:
        """Keep the settings for ``hparams.yaml`` alone."""
        self.hparams.update(params)


def _tensorboard(folder: Path) -> dict[str, Any]:
    return {"save_dir": folder, "name": "", "version": "tensorboard", "default_hp_metric": False}


def _csv(folder: Path) -> dict[str, Any]:
    return {"save_dir": folder, "name": "", "version": "csv"}


def _wandb(folder: Path) -> dict[str, Any]:
    return {"save_dir": folder}


def _wandb_default(folder: Path) -> dict[str, Any]:
    return {"name": _name(folder)}


def _mlflow(folder: Path) -> dict[str, Any]:
    return {"run_name": _name(folder)}


def _mlflow_default(folder: Path) -> dict[str, Any]:
    # MLflow gave its folders up for databases; Lightning's default is such a folder, which MLflow refuses.
    database = f"sqlite:///{folder.resolve().parents[1] / 'mlflow.db'}"
    return {"tracking_uri": os.environ.get("MLFLOW_TRACKING_URI", database), "experiment_name": folder.parent.name}


def _name(folder: Path) -> str:
    return "/".join(folder.parts[-2:])


add(LOGGERS, "tensorboard", Extension(Board, _tensorboard))
add(LOGGERS, "csv", Extension(CSVLogger, _csv))
add(LOGGERS, "wandb", Extension(WandbLogger, _wandb, _wandb_default, needs="wandb"))
add(LOGGERS, "mlflow", Extension(MLFlowLogger, _mlflow, _mlflow_default, needs="mlflow"))
