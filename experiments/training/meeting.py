"""Place and time at which the processes of a training meet: before torch.distributed waits for them."""

from __future__ import annotations

import os
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

from experiments.runtime.errors import UserError
from experiments.runtime.peers import Peers
from experiments.settings.schema import Config

# In Lightning's order, with the variables that have a process's rank and the number of all.
_LAUNCHERS: dict[type[ClusterEnvironment], tuple[str, str, str]] = {
    TorchElasticEnvironment: ("torchrun", "RANK", "WORLD_SIZE"),
    SLURMEnvironment: ("srun", "SLURM_PROCID", "SLURM_NTASKS"),
}


class Meeting:
    """The other processes of a training, once they are there.

    Args:
        config: all settings.
    """

    def __init__(self, config: Config) -> None:
        self._within_s = config.trainer.start_within_s
        self._config = config
        self._world = config.trainer.devices * config.trainer.num_nodes
        self._several = self._world > 1
        self.peers: Peers | None = None
        self.agreed = False  # whether all of them stop together

    def now(self) -> None:
        """Meet at once if torchrun or Slurm has started all processes; others do so when the trainer starts them.

        Raises:
            UserError: they were not all there in time, or another number of them was started than the settings say.
        """
        for kind, names in _LAUNCHERS.items():
            if kind.detect():
                self._check_number(*names)
                if self._several:
                    self._meet(_made(kind), [])
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

    def _check_number(self, launcher: str, rank_in: str, number_in: str) -> None:
        # Lightning would train with too few, or wait for too many. A single process in an allocation of several is the
        # way of a batch script, and has rank 0; with another rank it would be the second to write in the run's folder.
        rank, number = os.environ.get(rank_in), os.environ.get(number_in, "")
        if self._several and rank is None:
            raise UserError(f"{number_in} is set, and {rank_in} is not: {launcher} sets it for each process it starts")
        t = self._config.trainer
        if t.kwargs.get("plugins") or number == str(self._world):
            return  # a plugin may say otherwise how processes are started
        if self._several or launcher == "torchrun" or (rank or "0") != "0":
            raise UserError(
                f"{launcher} was asked for {number} processes ({number_in}), and trainer.devices ({t.devices}) times"
                f" trainer.num_nodes ({t.num_nodes}) is {self._world}; trainer.devices is the number of processes on"
                " each machine"
            )

    def _meet(self, at: ClusterEnvironment, started: list[subprocess.Popen[bytes]]) -> None:
        if _torchelastic_use_agent_store():
            return  # torchrun's agent holds the port, and stops the other processes itself
        training = f"{self._config.experiment}/{self._config.run.name}"
        rank, world, address, port = at.global_rank(), at.world_size(), at.main_address, _port_of(at)
        peers = Peers(rank, world, address, port, self._within_s, training)
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


def _made(kind: type[ClusterEnvironment]) -> ClusterEnvironment:
    try:
        return kind()
    except RuntimeError as error:  # variables of Slurm's that Lightning does not take
        raise UserError(str(error)) from error


def _port_of(at: ClusterEnvironment) -> int:
    try:
        port = at.main_port
    except ValueError:
        port = 0
    if not 0 < port < 1 << 16:
        raise UserError(f"MASTER_PORT is '{os.environ.get('MASTER_PORT', port)}'; expected a port, from 1 to 65535")
    return port


def _taken_over(launcher: Any) -> list[subprocess.Popen[bytes]]:
    """Return the processes that Lightning has started; its thread then no longer kills this one if one of them ends."""
    seen_by_thread = launcher.procs
    launcher.procs = list(seen_by_thread)
    seen_by_thread.clear()
    return list(launcher.procs)
