"""A training that stops between two steps when a signal comes, on all processes at the same step, with a checkpoint."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.connectors.signal_connector import _SignalConnector

from experiments.runtime.devices import is_launched
from experiments.runtime.stopping import Interrupted, name_of, postpone, received

_OTHERS_S = 5.0  # that the other processes may take to end after they have agreed to stop


class StopAtSignal(Checkpoint):
    """Stops at a signal: saves, then raises :class:`Interrupted`.

    Lightning calls it after all other callbacks, as it does with what saves checkpoints. Of several processes any one
    may get the signal. Each step they tell each other, on the way of a collective that the next step waits for. So they
    all stop at the same step, at most two after the signal, and no step waits for a message.

    Args:
        last: path of the checkpoint that a run continues from.
        total: steps of the whole run.
        every: steps between two checkpoints; 0 where an epoch's end writes it.
    """

    def __init__(self, last: Path, total: int, every: int = 0) -> None:
        self._last, self._total, self._every = last, total, every
        self._saved = -1
        self._group: Any = None
        self._pending: tuple[Any, torch.Tensor] | None = None
        self.stopped = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """From now on there is something to save."""
        if trainer.world_size > 1:
            self._group = torch.distributed.new_group(backend="gloo")  # of the host, whatever the devices use
        postpone(True, lambda: end_others(trainer, 0))

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Count an epoch that Lightning began without counting it.

        So it does where a run goes on from the last batch of an epoch. By its counts, it would then take the next
        checkpoint for one of another moment, and repeat an epoch after it, or leave one out.
        """
        epochs: Any = trainer.fit_loop.epoch_progress  # its stub has the trackers' base class
        batches: Any = trainer.fit_loop.epoch_loop.batch_progress
        for count in (epochs.total, epochs.current):
            count.ready = count.started = count.processed + 1
        batches.total.completed = batches.total.processed

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop between two steps, never between batches whose gradients are accumulated.

        Raises:
            Interrupted: a process got a signal.
        """
        if (batch_idx + 1) % trainer.accumulate_grad_batches and not trainer.is_last_batch:
            return
        if number := self._agreed():
            self._save(trainer)
            self._stop(trainer, number)
        if _validates_next(trainer):
            self._save(trainer)  # a stop during the validation then loses nothing

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Stop during a validation, if the step before it was saved.

        Raises:
            Interrupted: a process got a signal.
        """
        if self._saved == trainer.global_step and (number := self._agreed()):
            self._stop(trainer, number)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save the last step, where none of the checkpoints between steps was of it."""
        self._wait()
        if trainer.global_step == self._total and self._every and self._total % self._every:
            self._save(trainer)
        postpone(False)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Let signals end the process again; where only this one stops, nobody is left to wait for."""
        postpone(False)
        if isinstance(exception, Interrupted) and not self.stopped:
            end_others(trainer, 0)

    def _save(self, trainer: L.Trainer) -> None:
        trainer.save_checkpoint(self._last)
        self._saved = trainer.global_step

    def _stop(self, trainer: L.Trainer, number: int) -> None:
        self.stopped = True
        line = stopped_line(trainer.global_step, self._total, self._last, name_of(number))
        raise Interrupted("" if is_launched() else line, number)  # the launcher of this process says it

    def _agreed(self) -> int:
        """Return the signal that any process got; all return the same, at the same step."""
        if self._group is None:
            return received()
        found = self._wait()
        mine = torch.tensor([received()])
        work = torch.distributed.all_reduce(mine, torch.distributed.ReduceOp.MAX, group=self._group, async_op=True)
        self._pending = work, mine
        return found

    def _wait(self) -> int:
        """Return what was agreed on since the step before."""
        if self._pending is None:
            return 0
        work, found = self._pending
        self._pending = None
        work.wait()
        return int(found)


class NoSignals(_SignalConnector):
    """Keeps Lightning's handlers away.

    Its handler of SIGTERM starts a collective wherever the process is, which hangs if another process is in another
    collective; and its exit code is 0.
    """

    def register_signal_handlers(self) -> None:
        """Register none."""

    def teardown(self) -> None:
        """Put nothing back."""


def stopped_line(done: int, total: int, last: Path, by: str) -> str:
    """Say how far a run came that a signal stopped, and that the same command goes on.

    Args:
        done: steps that were done.
        total: steps of the whole run.
        last: path of the last checkpoint, of the last step.
        by: what stopped it.
    """
    if done >= total:
        return f"stopped by {by} after the last of {total} steps; this run is complete ({last})"
    return f"interrupted at step {done} of {total} by {by}; the same command goes on from step {done} ({last})"


def end_others(trainer: L.Trainer, wait_s: float = _OTHERS_S) -> None:
    """Wait for the processes that Lightning started here, and kill those that do not end by themselves."""
    found: list[subprocess.Popen[bytes]] = getattr(trainer.strategy.launcher, "procs", [])
    others = list(found)
    found.clear()  # a thread of Lightning's kills this process too when it finds one of them killed
    for process in others:
        try:
            process.wait(wait_s)
        except subprocess.TimeoutExpired:
            process.kill()
            with suppress(subprocess.TimeoutExpired):  # one that not even this ends is left to the system
                process.wait(_OTHERS_S)


def lost_peer(error: RuntimeError) -> bool:
    """Say whether a collective failed because another process of the training has ended."""
    words = ("closed by peer", "reset by peer", "Broken pipe", "NCCL", "gloo/transport")
    return isinstance(error, torch.distributed.DistError) or any(word in str(error) for word in words)


def _validates_next(trainer: L.Trainer) -> bool:
    every = trainer.check_val_every_n_epoch
    return bool(
        trainer.is_last_batch and trainer.enable_validation and every and (trainer.current_epoch + 1) % every == 0
    )
