from __future__ import annotations

import pytest

from experiments.runtime.devices import is_main_process
from experiments.settings.schema import Config

NAMES = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")


@pytest.mark.parametrize(
    ("said", "first"),
    [
        ({}, True),
        ({"RANK": "0", "LOCAL_RANK": "0"}, True),  # torchrun
        ({"RANK": "8", "LOCAL_RANK": "0"}, False),
        ({"LOCAL_RANK": "1"}, False),  # Lightning's launcher on one machine
        ({"NODE_RANK": "0"}, True),  # the same on several
        ({"NODE_RANK": "1"}, False),
        ({"NODE_RANK": "1", "LOCAL_RANK": "3"}, False),
        ({"SLURM_PROCID": "0"}, True),  # srun
        ({"SLURM_PROCID": "5"}, False),
        ({"SLURM_PROCID": "0", "LOCAL_RANK": "2"}, False),  # Lightning's launcher inside a batch job of one task
    ],
)
def test_one_process_of_all_is_the_first(said: dict[str, str], first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    config = Config()
    config.trainer.devices = 4
    assert is_main_process(config) is first
