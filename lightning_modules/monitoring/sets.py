"""The losses of each data set, where several are mixed in a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from lightning_modules.losses.all_gather import alone
from lightning_modules.objectives.step import Batch, Step


@torch.no_grad()
def losses_of_sets(
    names: Sequence[str],
    objectives: nn.ModuleDict,
    step: Step,
    paired: Step | None,
    negatives: Callable[[Batch], Tensor | None],
) -> dict[str, Tensor]:
    """Compute each objective on the windows of one set at a time, as if the batch held no others.

    The windows are those of this process, so a set has fewer negatives here than in the loss that is learnt. Nothing is
    encoded again but for objectives that hide a part of the input. Queues do not change.

    Args:
        names: of the sets.
        objectives: by name.
        step: of all windows.
        paired: of those with video, if there are any.
        negatives: pairs of a batch that are no negatives.

    Returns:
        "objective_loss/set" -> scalar; an objective that learns from video has none for a set without.
    """
    found: dict[str, Tensor] = {}
    modes = {name: objective.training for name, objective in objectives.items()}
    objectives.eval()
    with alone():
        for number, (name, rows) in enumerate(zip(names, step.batch["rows"], strict=True)):
            own = step.of(rows) if len(rows) else None
            clips = None
            if paired is not None and len(places := step.batch["video_rows"][number]):
                clips = paired.of(places)
                clips = replace(clips, negatives=negatives(clips.batch))
            for key, objective in objectives.items():
                part = clips if objective.uses_video else own
                if part is not None:
                    found[f"{key}_loss/{name}"] = objective(part)
    for name, objective in objectives.items():
        objective.train(modes[name])
    return found
