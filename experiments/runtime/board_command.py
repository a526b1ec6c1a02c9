"""The command that shows runs in TensorBoard."""

from __future__ import annotations

from pathlib import Path

from experiments.settings.schema import Config


def board_command(config: Config) -> str:
    """Say how the runs are looked at: by make where its target shows them, else by TensorBoard's own command."""
    runs = Path(config.paths.runs)
    clone = Path("experiments", "pretrain.py").is_file() and Path("Makefile").is_file()
    return "make tensorboard" if clone and runs.resolve() == Path("runs").resolve() else f"tensorboard --logdir {runs}"
