"""Callback that stops a training whose loss, gradient or validation metric is not a finite number.

A step on NaN spoils all weights, and every later checkpoint with them. The run therefore ends before such a step is
taken, or on a GPU, where the answer comes one step late, before anything of it is saved.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from safetensors.torch import save_file
from torch import Tensor

from core.durable import write_atomically
from core.errors import MendableError

Batch = Mapping[str, Any]
_NAMED = 5  # windows that a message names; the file has all


class NonFiniteError(MendableError, ArithmeticError):
    """A loss, a gradient or a metric that is NaN or infinite; the message names step, windows and file."""


@dataclass
class _Pending:
    """A step whose answer is on its way from the device."""

    step: int
    bad: Tensor  # (2,) bool: anywhere, in this process
    loss: Tensor
    norm: Tensor
    batches: list[Batch]
    event: torch.cuda.Event | None = None


class FiniteGuard(L.Callback):
    """Stop a training on the first number that is not finite; logs ``training/gradient_norm`` on its way.

    On a GPU the host does not wait for the device: a step is judged while the next one is computed, and always before a
    checkpoint is written. With 16-bit floats that are scaled, infinite gradients are part of the method, and only the
    loss is judged.

    Args:
        folder: where the batch of the step is saved for a look, as safetensors; None saves nothing.
        names: names the windows of a batch, one text each; None names none.
    """

    def __init__(self, folder: Path | None = None, names: Callable[[Batch], Sequence[str]] | None = None) -> None:
        self._folder, self._names = folder, names
        self._batches: list[Batch] = []
        self._losses: list[Tensor] = []
        self._pending: _Pending | None = None

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Keep the batch until its step is judged."""
        self._batches.append(batch if isinstance(batch, Mapping) else {"batch": batch})

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor) -> None:
        """Keep the loss of a batch."""
        self._losses.append(loss.detach())

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Judge the step that is about to be taken, or on a GPU the one before it.

        Raises:
            NonFiniteError: its loss or its gradient is not finite.
        """
        gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if pl_module.logger is not None:
            pl_module.log("training/gradient_norm", norm)
        loss = torch.stack(self._losses).sum()
        judged = loss if str(trainer.precision).startswith("16") else loss + norm.to(loss.device)
        here = ~judged.isfinite()
        anywhere = trainer.strategy.reduce(here.float(), reduce_op="sum") > 0  # all processes stop together
        self._check()
        self._pending = _later(trainer.global_step, torch.stack([anywhere, here]), loss, norm, self._batches)
        self._batches, self._losses = [], []
        if self._pending.event is None:
            self._check()

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Judge the last step before its weights are written.

        Raises:
            NonFiniteError: its loss or its gradient was not finite.
        """
        self._check()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Judge the metrics of the validation before one of them can choose a checkpoint.

        Raises:
            NonFiniteError: one of them is not finite.
        """
        metrics = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("validation/")}
        wrong = {k: v for k, v in metrics.items() if not math.isfinite(v)}
        if wrong:
            found = ", ".join(f"{name} is {value}" for name, value in wrong.items())
            raise NonFiniteError(
                f"training stopped after step {trainer.global_step}: {found}; expected finite numbers. The best"
                " checkpoint is kept as it was"
            )

    def _check(self) -> None:
        pending, self._pending = self._pending, None
        if pending is None:
            return
        if pending.event is not None:
            pending.event.synchronize()
        anywhere, here = pending.bad.tolist()
        if anywhere:
            raise NonFiniteError(self._explain(pending, here))

    def _explain(self, pending: _Pending, here: bool) -> str:
        loss, norm = float(pending.loss), float(pending.norm)
        what = f"the loss is {loss}" if not math.isfinite(loss) else f"the gradient's norm is {norm} (loss {loss:.4g})"
        if not here:
            what = "another process found a loss or a gradient that is not finite"
        text = f"training stopped at step {pending.step}: {what}; expected a finite number."
        if here:
            text += self._windows(pending)
        return (
            f"{text} The weights before this step are in the last checkpoint. Usual causes: a learning rate that is too"
            " high, 16-bit floats, or windows of extreme values"
        )

    def _windows(self, pending: _Pending) -> str:
        names = [name for batch in pending.batches for name in (self._names(batch) if self._names else [])]
        text = ""
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            text += f" Its windows: {', '.join(names[:_NAMED])}{more}."
        tensors: dict[str, Tensor] = {}
        for number, batch in enumerate(pending.batches):
            tensors.update(_flat(batch, f"{number}/" if len(pending.batches) > 1 else ""))
        wrong = [name for name, value in tensors.items() if value.is_floating_point() and not value.isfinite().all()]
        text += f" Not finite among its inputs: {', '.join(wrong) or 'nothing'}."
        if self._folder is not None:
            path = self._folder / f"step-{pending.step}-process-{_rank()}.safetensors"
            path.parent.mkdir(parents=True, exist_ok=True)
            metadata = {"windows": json.dumps(names, ensure_ascii=False)}
            write_atomically(path, lambda temporary: save_file(tensors, temporary, metadata))
            text += f" They are saved in {path}."
        return text


def _later(step: int, bad: Tensor, loss: Tensor, norm: Tensor, batches: list[Batch]) -> _Pending:
    if bad.device.type != "cuda":
        return _Pending(step, bad, loss, norm, batches)
    there = torch.empty(2, dtype=torch.bool, pin_memory=True)
    there.copy_(bad, non_blocking=True)
    event = torch.cuda.Event()
    event.record()
    return _Pending(step, there, loss, norm, batches, event)


def _flat(batch: Batch, prefix: str) -> dict[str, Tensor]:
    """The tensors of a batch by their paths; safetensors takes no shared memory, so each is a copy."""
    found: dict[str, Tensor] = {}
    for name, value in batch.items():
        if isinstance(value, Tensor):
            found[f"{prefix}{name}"] = value.detach().cpu().contiguous().clone()
        elif isinstance(value, Mapping):
            found.update(_flat(value, f"{prefix}{name}/"))
        elif isinstance(value, list | tuple):
            found.update(_flat({str(i): each for i, each in enumerate(value)}, f"{prefix}{name}/"))
    return found


def _rank() -> int:
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
