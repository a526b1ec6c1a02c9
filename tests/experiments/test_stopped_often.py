"""Trainings that are stopped again and again end as one that never was, at whatever steps of an epoch."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.equality import assert_same_weights

from experiments.pretrain import run
from experiments.runtime.stopping import Interrupted
from experiments.settings.schema import Config
from experiments.training.stop import StopAtSignal

SHORT = ("trainer.max_epochs=5", "trainer.validate_every=5")


@pytest.fixture(scope="module")
def whole(tiny_in: Callable[..., Config], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tiny_in(tmp_path_factory.mktemp("whole"), *SHORT))


# An epoch has three steps. At a negative one the training dies, and goes on from the end of the epoch before.
@pytest.mark.slow
@pytest.mark.parametrize(
    "steps", [(3, 6), (3, -7), (6, 9, 12), (3, 5), (6, 7, 9), (3, -8, 9, 12), (-4, 6, -11)], ids=str
)
def test_stops_at_the_ends_of_epochs_and_within_them(
    steps: tuple[int, ...], whole: Path, tiny: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_end = StopAtSignal.on_train_batch_end
    for step in steps:

        def at_step(self: StopAtSignal, trainer, *arguments, step: int = step) -> None:  # type: ignore[no-untyped-def]
            self._agreed = lambda: int(signal.SIGTERM) if trainer.global_step == abs(step) else 0  # type: ignore[method-assign]
            if step < 0:
                self._save = lambda trainer: None  # type: ignore[method-assign]
            batch_end(self, trainer, *arguments)

        monkeypatch.setattr(StopAtSignal, "on_train_batch_end", at_step)
        with pytest.raises(Interrupted, match=f"interrupted at step {abs(step)} of 15"):
            run(tiny(*SHORT))
    monkeypatch.setattr(StopAtSignal, "on_train_batch_end", batch_end)
    last = run(tiny(*SHORT))
    assert torch.load(last, weights_only=True)["global_step"] == 15
    assert_same_weights(last, whole)
