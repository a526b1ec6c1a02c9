"""Migration of the hyper-parameters of checkpoints from earlier versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Where each setting of version 0.1 is now; the queue and the width of tokens were shared by two objectives.
MOVED: dict[str, tuple[str, ...]] = {
    "alignment_weight": ("loss.alignment.weight",),
    "alignment_width_s": ("loss.alignment.width_s",),
    "alignment_temperature": ("loss.alignment.temperature",),
    "alignment_max_shift_s": ("loss.alignment.max_shift_s",),
    "alignment_shift_step_s": ("loss.alignment.shift_step_s",),
    "alignment_dim": ("loss.alignment.width", "loss.order.width"),
    "order_weight": ("loss.order.weight",),
    "order_count": ("loss.order.count",),
    "masked_weight": ("loss.masked.weight",),
    "masked_share": ("loss.masked.share",),
    "masked_patch": ("loss.masked.patch",),
    "neighbour_weight": ("loss.neighbours.weight",),
    "neighbour_temperature": ("loss.neighbours.temperature",),
    "queue_size": ("loss.neighbours.queue_size", "loss.distillation.queue_size"),
    "student_temperature": ("loss.distillation.student_temperature",),
    "teacher_temperature": ("loss.distillation.teacher_temperature",),
    "consistency_weight": ("loss.consistency.weight",),
    "consistency_temperature": ("loss.consistency.temperature",),
    "projection_width": ("shared_space.width",),
    "projection_dropout": ("shared_space.dropout",),
    "same_recording_gap_s": ("shared_space.same_recording_gap_s",),
    "lr": ("optim.lr",),
    "min_lr": ("optim.min_lr",),
    "weight_decay": ("optim.weight_decay",),
    "scalar_lr_factor": ("optim.scalar_lr_factor",),
    "warmup_share": ("optim.warmup_share",),
}
# Version 0.1 had other defaults in Python than in the configuration; a checkpoint holds all values but those that are
# newer than itself, which these defaults stand for.
DEFAULTS_0_1 = {"contrastive": "sigmoid", "alignment_weight": 0.5, "order_weight": 0.0, "consistency_weight": 0.0}


def migrate(hyper_parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Bring the hyper-parameters of a checkpoint, of this version or of 0.1, into the form of this version."""
    if "loss" in hyper_parameters or "lr" not in hyper_parameters:
        return dict(hyper_parameters)
    values = {**DEFAULTS_0_1, **hyper_parameters}
    found: dict[str, Any] = {}
    for path, value in contrastive_of(values.pop("contrastive")).items():
        put(found, path.split("."), value)
    for name, value in values.items():
        for path in MOVED.get(name, (name,)):
            put(found, path.split("."), value)
    return found


def contrastive_of(name: str) -> dict[str, Any]:
    """Return the settings that ``loss.contrastive=name`` of version 0.1 stands for, by path."""
    paired = name not in ("none", "distillation")
    settings: dict[str, Any] = {
        "loss.contrastive.weight": float(paired),
        "loss.distillation.weight": float(name == "distillation"),
    }
    return {**settings, "loss.contrastive.pairs": name} if paired else settings


def put(into: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Set a value in nested dicts, by the keys that lead to it."""
    *groups, last = path
    for group in groups:
        into = into.setdefault(group, {})
    into[last] = value
