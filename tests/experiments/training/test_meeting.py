"""Numbers and ports that launchers give to processes before these meet: refused in words where they can't be."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from experiments.runtime.errors import UserError
from experiments.settings.schema import Config
from experiments.training.meeting import Meeting, meeting

Make = Callable[..., Config]
SOON = ("trainer.start_within_s=0.1",)  # nobody waits long for those that never come


def under(monkeypatch: pytest.MonkeyPatch, launcher: str, rank: int, number: int, **said: str) -> None:
    """Set the variables that a launcher sets."""
    slurm = {"SLURM_NTASKS": str(number), "SLURM_NTASKS_PER_NODE": str(number), "SLURM_PROCID": str(rank)}
    elastic = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": str(number), "RANK": str(rank)}
    slurm |= {"SLURM_JOB_NAME": "pretrain", "SLURM_NODELIST": "localhost", "SLURM_JOB_ID": "1"}
    for name, value in ({"srun": slurm, "torchrun": elastic}[launcher] | said).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", said.get("MASTER_PORT", "29999"))


@pytest.mark.parametrize(("launcher", "rank"), [("torchrun", 0), ("torchrun", 1), ("srun", 1)])
def test_processes_that_would_train_alone_in_one_folder_are_refused(
    launcher: str, rank: int, tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    under(monkeypatch, launcher, rank, 2)
    with pytest.raises(UserError, match=rf"{launcher} was asked for 2 processes .*trainer.devices \(1\).* is 1;"):
        Meeting(tiny()).now()


@pytest.mark.parametrize("launcher", ["torchrun", "srun"])
def test_another_number_than_the_settings_have_is_refused_before_anyone_waits(
    launcher: str, tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    under(monkeypatch, launcher, 0, 2)
    with pytest.raises(UserError, match=r"2 processes .*trainer.devices \(4\) times trainer.num_nodes \(1\) is 4"):
        Meeting(tiny("trainer.devices=4", *SOON)).now()


def test_a_single_process_in_an_allocation_of_several_trains(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a batch script that calls the command without srun."""
    under(monkeypatch, "srun", 0, 2)
    with meeting(tiny()) as found:
        found.now()
        assert found.peers is None


@pytest.mark.parametrize("port", ["70000", "0", "-1", "http"])
def test_a_port_that_is_none_is_refused(port: str, tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    under(monkeypatch, "srun", 0, 2, MASTER_PORT=port)
    with pytest.raises(UserError, match=f"MASTER_PORT is '{port}'; expected a port, from 1 to 65535"):
        Meeting(tiny("trainer.devices=2", *SOON)).now()


def test_processes_that_srun_has_not_started_are_refused(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    under(monkeypatch, "srun", 0, 2)
    monkeypatch.delenv("SLURM_PROCID")
    with pytest.raises(UserError, match="SLURM_NTASKS is set, and SLURM_PROCID is not: srun sets it"):
        Meeting(tiny("trainer.devices=2", *SOON)).now()


def test_what_lightning_refuses_of_slurm_is_said_without_a_traceback(
    tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    under(monkeypatch, "srun", 0, 2)
    monkeypatch.delenv("SLURM_NTASKS_PER_NODE")
    with pytest.raises(UserError, match="--ntasks-per-node=2"):
        Meeting(tiny("trainer.devices=2", *SOON)).now()


def test_trainings_of_other_names_do_not_meet(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """As two steps of one Slurm job, which has one port."""
    under(monkeypatch, "srun", 1, 2)
    said = set()
    for name in ("a", "b"):
        found = Meeting(tiny("trainer.devices=2", f"run.name={name}", "trainer.start_within_s=0.01"))
        with pytest.raises(UserError):
            found.now()
        assert found.peers is not None
        said.add(found.peers._hello)
        found.end(None)
    assert len(said) == 2
