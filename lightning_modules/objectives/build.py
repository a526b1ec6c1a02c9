"""Objectives from settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from torch import nn

from lightning_modules.objectives.objective import OBJECTIVES, Objective, ObjectiveSettings, Parts


def objective_class(settings: ObjectiveSettings) -> type[Objective]:
    """Return the class that was registered for the settings of an objective."""
    found = OBJECTIVES.entry(type(settings).__name__).create
    return cast("type[Objective]", found)


def build_objectives(chosen: Mapping[str, ObjectiveSettings], parts: Parts) -> tuple[nn.ModuleDict, dict[str, float]]:
    """Make objectives in the order of ``chosen``.

    Args:
        chosen: settings of the objectives that have a weight, by name.
        parts: of the module.

    Returns:
        The objectives and their weights, by name.

    Raises:
        ValueError: nothing to minimise, or settings that an objective refuses.
    """
    if not chosen:
        raise ValueError("loss: nothing to minimise, all weights are 0; set one of them, e.g. loss.contrastive.weight")
    objectives = nn.ModuleDict({name: objective_class(s)(s, parts) for name, s in chosen.items()})
    return objectives, {name: s.weight for name, s in chosen.items()}


def uses_video(chosen: Mapping[str, ObjectiveSettings]) -> bool:
    """Say whether any of the objectives needs clips."""
    return any(objective_class(settings).uses_video for settings in chosen.values())


def targets_of(chosen: Mapping[str, ObjectiveSettings]) -> list[str]:
    """List what the objectives need in a batch besides motion and video, each once."""
    return sorted({name for settings in chosen.values() for name in objective_class(settings).targets})
