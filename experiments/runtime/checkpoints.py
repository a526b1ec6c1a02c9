"""Checkpoints that are written whole or not at all, even if the process is killed."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from core.durable import write_atomically
from experiments.runtime.hidden_folders import with_folder, without_folder
from lightning_modules.checkpoint import read_checkpoint


class DurableCheckpointIO(TorchCheckpointIO):
    """Checkpoint writer that writes beside the target, syncs, and renames; what it reads is held to its checksums.

    Args:
        hide_folder: leaves the path of the folder out of the states of callbacks.
    """

    def __init__(self, hide_folder: bool = False) -> None:
        super().__init__()
        self._hide_folder = hide_folder

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Save a checkpoint; the old file stays in place until the new one is on the disk."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if self._hide_folder and "callbacks" in checkpoint:
            checkpoint = {**checkpoint, "callbacks": without_folder(checkpoint["callbacks"], target.parent)}
        # A stream, not a path: torch would name the archive inside after the path, and bytes would differ.
        write_atomically(target, partial(_save, checkpoint))

    def load_checkpoint(
        self, path: Any, map_location: Any = lambda storage, loc: storage, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint as data.

        Raises:
            CheckpointError: it is damaged, or no checkpoint.
        """
        content = read_checkpoint(path, map_location)
        if "callbacks" in content:
            content["callbacks"] = with_folder(content["callbacks"], Path(path).parent)
        return content


def _save(checkpoint: dict[str, Any], path: Path) -> None:
    with path.open("wb") as file:
        torch.save(checkpoint, file)
