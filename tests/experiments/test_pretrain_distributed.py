"""Pretraining on several processes: as on one, and on fewer after one of them was killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.signalled import other_ranks

from experiments.pretrain import run
from experiments.runtime.peers import LOST
from experiments.settings.schema import Config

Make = Callable[..., Config]
# Dropout differs between processes; without it only the order of sums does. Augmentation, which is on, does not.
STILL = (
    "imu_encoder.params.dropout=0.0",
    "video_head.params.dropout=0.0",
    "video_head.params.input_dropout=0.0",
    "shared_space.dropout=0.0",
    "trainer.max_epochs=2",
)


def start(
    config: Config, yaml: Path, *changes: str, launcher: Sequence[str] = (), said: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    paths = (f"paths.data={config.paths.data}", f"paths.runs={config.paths.runs}")
    return subprocess.Popen(
        [sys.executable, *launcher, "-m", "experiments.pretrain", str(yaml), *paths, *STILL, *changes],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", **(said or {})},
    )


def torchrun(node: int, port: int) -> tuple[list[str], dict[str, str]]:
    """How torchrun starts the one process of one of two nodes."""
    options = ["--nnodes=2", "--nproc-per-node=1", f"--node-rank={node}", "--master-addr=127.0.0.1"]
    return ["-m", "torch.distributed.run", *options, f"--master-port={port}"], {}


def srun(node: int, port: int) -> tuple[list[str], dict[str, str]]:
    """What Slurm tells the one task of one of two nodes."""
    return [], {
        "SLURM_JOB_ID": "4711",
        "SLURM_JOB_NAME": "pretrain",
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "1",
        "SLURM_NNODES": "2",
        "SLURM_JOB_NODELIST": "localhost",
        "SLURM_NODELIST": "localhost",
        "SLURM_PROCID": str(node),
        "SLURM_NODEID": str(node),
        "SLURM_LOCALID": "0",
        "MASTER_PORT": str(port),
    }


def checkpoint_of(config: Config, name: str) -> Path:
    return Path(config.paths.runs) / "tiny" / name / "checkpoints" / "last.ckpt"


def assert_went_the_same_way(found: Path, expected: Path, start: Path) -> None:
    """Sums in another order differ in the last digits, and AdamW makes whole steps of gradients that are all rounding:

    so what is compared is how far apart the ends are, beside the way from the start.
    """
    weights = [torch.load(path, weights_only=True)["state_dict"] for path in (found, expected, start)]
    a, b, c = (torch.cat([v.flatten() for _, v in sorted(w.items()) if v.is_floating_point()]) for w in weights)
    assert (a - b).norm() < 0.02 * (b - c).norm()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_train_as_one(tiny: Make, tiny_yaml: Path) -> None:
    one = run(tiny("run.name=one", *STILL))
    first = run(tiny("run.name=first", *STILL, "optim.lr=1e-12", "optim.min_lr=0"))
    process = start(tiny(), tiny_yaml, "run.name=two", "trainer.devices=2")
    output, _ = process.communicate(timeout=280)
    assert process.returncode == 0, output[-3000:]
    assert "sync_dist" not in output  # every process validates all windows: there is nothing to gather
    assert_went_the_same_way(checkpoint_of(tiny(), "two"), one, first)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("launch", [torchrun, srun])
def test_two_nodes_train_as_one(launch: Callable[..., Any], tiny: Make, tiny_yaml: Path) -> None:
    """Two machines as their launchers describe them, both of them this one."""
    one = run(tiny("run.name=one", *STILL))
    first = run(tiny("run.name=first", *STILL, "optim.lr=1e-12", "optim.min_lr=0"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = []
    for node in range(2):
        launcher, said = launch(node, port)
        changes = ("run.name=two", "trainer.num_nodes=2")
        processes.append(start(tiny(), tiny_yaml, *changes, launcher=launcher, said=said))
    outputs = [process.communicate(timeout=500)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(output[-3000:] for output in outputs)
    assert_went_the_same_way(checkpoint_of(tiny(), "two"), one, first)
    # One of them introduces the run, and one says where the checkpoint is.
    assert sum("pretraining on" in output for output in outputs) == 1
    assert sum("checkpoint:" in output for output in outputs) == 1


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_one_of_four_processes_is_killed_and_two_go_on(tiny: Make, tiny_yaml: Path) -> None:
    config = tiny()
    one = run(tiny("run.name=one", *STILL))
    first = run(tiny("run.name=first", *STILL, "optim.lr=1e-12", "optim.min_lr=0"))
    steps = torch.load(one, weights_only=True)["global_step"]
    often = ("run.name=killed", "trainer.checkpoint_every_steps=1")
    process = start(config, tiny_yaml, *often, "trainer.devices=4")
    last = checkpoint_of(config, "killed")
    deadline = time.monotonic() + 400
    while not last.is_file() and process.poll() is None:
        assert time.monotonic() < deadline, "no checkpoint"
        time.sleep(0.002)
    others = other_ranks(process.pid)
    assert len(others) == 3
    os.kill(others[-1], signal.SIGKILL)
    output, _ = process.communicate(timeout=120)  # the others end, instead of waiting for it for ever
    assert process.returncode == 1, output[-3000:]
    assert LOST in output
    assert "Traceback" not in output
    done = torch.load(last, weights_only=True)["global_step"]
    assert 0 < done < steps, "it was not killed in time to show anything"
    process = start(config, tiny_yaml, *often, "trainer.devices=2")
    output, _ = process.communicate(timeout=280)
    assert process.returncode == 0, output[-3000:]
    assert "continued from" in output
    assert torch.load(last, weights_only=True)["global_step"] == steps
    assert_went_the_same_way(last, one, first)
