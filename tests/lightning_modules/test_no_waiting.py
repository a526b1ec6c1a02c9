"""Nothing in a training step makes the host wait for the device."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from helpers.made_training import OBJECTIVES, make_batch, make_step
from helpers.waiting import Waiting

from lightning_modules.optim import adamw


def test_waiting_is_found() -> None:
    x = torch.arange(4.0)
    with Waiting() as waiting:
        float(x.sum())
        x[x > 1]
        x[x > 1] = torch.ones(2)
        if x.any():
            pass
        torch.nonzero(x)
        torch.equal(x, x)
    assert [line.split(" at ")[0] for line in waiting.found] == [
        "_local_scalar_dense",
        "index",
        "index_put_",
        "_local_scalar_dense",
        "nonzero",
        "equal",
    ]
    assert "test_no_waiting.py" in waiting.found[0]
    with Waiting() as waiting:
        torch.where(x > 1, x, 0)
        x[torch.tensor([1, 2])]
    assert waiting.found == []


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_step_of_every_objective_asks_the_device_nothing(name: str) -> None:
    step = make_step(**OBJECTIVES[name])
    optimizer = adamw(step.named_parameters(), lr=1e-3, weight_decay=0.1)
    batches = [make_batch(seed) for seed in range(2)]
    with Waiting() as waiting:
        for batch in batches:  # the second finds the queues filled
            optimizer.zero_grad()
            step(batch).backward()
            torch.nn.utils.clip_grad_norm_(step.parameters(), 1.0)
            optimizer.step()
    assert waiting.found == []


def without_order(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings without the one objective that draws on the device."""
    return {**settings, "loss": {**settings.get("loss", {}), "order": {"weight": 0.0}}}


DRAWING = ("masked", "masked patchtst", "frame order", "pretext")  # they draw numbers from a generator


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name not in DRAWING])
def test_a_step_needs_no_values_at_all(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On tensors without content, which can't be copied to the host: a stricter check, where no generator is used."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # which knows no such device
    step = make_step(**without_order(OBJECTIVES[name])).to("meta")
    batch = make_batch()
    views = [{key: value.to("meta") for key, value in view.items()} for view in batch.pop("views")]
    batch = {key: value.to("meta") for key, value in batch.items()} | {"views": views}
    for _ in range(2):
        with Waiting() as waiting:
            step(batch).backward()
        assert waiting.found == []
