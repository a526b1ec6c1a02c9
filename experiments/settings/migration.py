"""Migration of the settings that runs of earlier versions were saved with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning_modules.migration import MOVED, contrastive_of, put

# Where each setting of version 0.1 is now; those of the loss also stand in the checkpoints of that version.
_NOT_IN_LOSS = ("lr", "min_lr", "weight_decay", "scalar_lr_factor", "warmup_share", "same_recording_gap_s")
RENAMED: dict[str, tuple[str, ...]] = {
    **{f"loss.{name}": paths for name, paths in MOVED.items() if name not in _NOT_IN_LOSS},
    "pretraining.same_recording_gap_s": ("shared_space.same_recording_gap_s",),
    "tower": ("video_encoder.preset",),
    "evaluation.conditions": ("evaluation.perturbations",),
    "evaluation.conditions_shots": ("evaluation.perturbations_shots",),
    "evaluation.conditions_draws": ("evaluation.perturbations_draws",),
}


def renamed(path: str) -> str | None:
    """Say what a setting of version 0.1 is called now, as words of a message; None for any other name."""
    return " and ".join(f"'{new}'" for new in RENAMED[path]) if path in RENAMED else None


def migrate(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Bring saved settings, of this version or of 0.1, into the form of this version."""
    found: dict[str, Any] = {}
    for keys, value in flatten(settings):
        path = ".".join(keys)
        if path == "loss.contrastive" and isinstance(value, str):
            for new, meant in contrastive_of(value).items():
                put(found, new.split("."), meant)
        elif path in RENAMED:
            for new in RENAMED[path]:
                put(found, new.split("."), value)
        else:
            put(found, keys, value)
    return found


def flatten(value: Mapping[str, Any], above: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """List all values, each with the keys that lead to it; an empty mapping is a value."""
    rows: list[tuple[tuple[str, ...], Any]] = []
    for key, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            rows += flatten(inner, (*above, str(key)))
        else:
            rows.append(((*above, str(key)), inner))
    return rows
