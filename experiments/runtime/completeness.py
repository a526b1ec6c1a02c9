"""Completeness of checkpoints: the result of a whole training, or of one that was stopped.

The steps in a checkpoint tell. A training that ends early by its own settings (``max_time``, a callback) leaves
``ended.json`` beside its last checkpoint, which names the step of its end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.durable import write_json
from experiments.runtime.errors import UserError
from experiments.runtime.run_folder import LAST
from lightning_modules.checkpoint import read_checkpoint

ENDED = "ended.json"
SETTING = "evaluation.allow_incomplete=true"


class IncompleteError(UserError):
    """A checkpoint of a training that is not complete."""


def mark_ended(last: Path, step: int, total: int) -> None:
    """Note beside the last checkpoint that the training came to its end, at this step."""
    write_json(last.with_name(ENDED), {"step": step, "of": total})


def incomplete(path: Path) -> str:
    """Say how far the training of a checkpoint came, e.g. ``step 7 of 1,400``; empty if it is complete.

    A checkpoint from the middle of a complete run, as ``best.ckpt`` is, counts as complete. One that does not say its
    step was written by another program, and counts as complete too.

    Raises:
        CheckpointError: the file is damaged or no checkpoint.
    """
    found = _incomplete(path)
    last = path.with_name(LAST)
    if found and path.name != LAST and last.is_file() and not _incomplete(last):
        return ""
    return found


def refuse_incomplete(path: Path, allowed: bool, how: str = SETTING) -> str:
    """Refuse a checkpoint of a training that is not complete; if it is allowed, return how far it came.

    Args:
        path: of the checkpoint.
        allowed: the user asked for it.
        how: the user would ask for it.

    Raises:
        IncompleteError: it is not complete, and not allowed.
        CheckpointError: the file is damaged or no checkpoint.
    """
    found = incomplete(path)
    if found and not allowed:
        raise IncompleteError(
            f"{path}: {found}: this training is not complete; let the command that began it go on, or use the"
            f" checkpoint as it is with {how}, and every table and card will say so"
        )
    return found


def _incomplete(path: Path) -> str:
    content = read_checkpoint(path)
    settings = content.get("hyper_parameters")
    step, total = content.get("global_step"), settings.get("total_steps") if isinstance(settings, Mapping) else None
    if not isinstance(step, int) or not isinstance(total, int) or step >= total or step == _ended_at(path):
        return ""
    return f"step {step:,} of {total:,}"


def _ended_at(path: Path) -> Any:
    mark = path.with_name(ENDED)
    try:
        return json.loads(mark.read_text(encoding="utf-8"))["step"] if mark.is_file() else None
    except (ValueError, KeyError, TypeError):
        return None  # damaged: it vouches for nothing
