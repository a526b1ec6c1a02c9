"""Place and time at which the processes of a training meet: before torch.distributed waits for them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning as L
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher
from torch.distributed.rendezvous import _torchelastic_use_agent_store

from experiments.runtime.peers import Peers
from experiments.settings.schema import Config


class Meeting:
    """The other processes of a training, once they are there.

    Args:
        config: all settings.
    """

    def __init__(self, config: Config) -> None:
        self._within_s = config.trainer.start_within_s
        self._several = config.trainer.devices * config.trainer.num_nodes > 1
        self.peers: Peers | None = None
        self.agreed = False  # whether all of them stop together

    def now(self) -> None:
        """Meet at once if torchrun or Slurm has started all processes; others do so when the trainer starts them.

        Raises:
            UserError: they were not all there in time.
        """
        for kind in (TorchElasticEnvironment, SLURMEnvironment):  # in Lightning's order
            if self._several and kind.detect():
                self._meet(kind(), [])
                return

    def before_the_group(self, trainer: L.Trainer) -> None:
        """Have a trainer wait for the other processes before it makes the group of torch.distributed."""
        strategy: Any = trainer.strategy
        if not self._several or not isinstance(strategy.launcher, _SubprocessScriptLauncher):
            return
        set_up = strategy.setup_environment

        def meet_and_set_up() -> None:
            if self.peers is None:
                strategy.set_world_ranks()
                self._meet(strategy.cluster_environment, _taken_over(strategy.launcher))
            if self.peers is not None:
                self.peers.start_together()
            set_up()

        strategy.setup_environment = meet_and_set_up

    def lost(self) -> bool:
        """Say whether another process is known to have ended."""
        return self.peers is not None and self.peers.lost

    def wait_for_news(self) -> None:
        """Wait until it is known that another process has ended, and by which signal, but not for long."""
        if self.peers is not None:
            self.peers.wait_for_news()

    def end(self, error: BaseException | None) -> None:
        """Tell the other processes how this one ends; None if all of them end with it."""
        if self.peers is not None:
            self.peers.end(error)

    def _meet(self, at: ClusterEnvironment, started: list[subprocess.Popen[bytes]]) -> None:
        if _torchelastic_use_agent_store():
            return  # torchrun's agent holds the port, and stops the other processes itself
        peers = Peers(at.global_rank(), at.world_size(), at.main_address, at.main_port, self._within_s)
        self.peers = peers
        peers.meet(lambda: next((process.returncode for process in started if process.poll() is not None), None))


@contextmanager
def meeting(config: Config) -> Iterator[Meeting]:
    """Meet the other processes of a training, and tell them at the end why this one has ended."""
    found = Meeting(config)
    try:
        yield found
    except BaseException as error:
        found.end(None if found.agreed else error)
        raise
    found.end(None)


def _taken_over(launcher: Any) -> list[subprocess.Popen[bytes]]:
    """Return the processes that Lightning has started; its thread then no longer kills this one if one of them ends."""
    seen_by_thread = launcher.procs
    launcher.procs = list(seen_by_thread)
    seen_by_thread.clear()
    return list(launcher.procs)
