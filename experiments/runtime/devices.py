"""Devices of this machine, and threads."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from experiments.runtime.processors import cores
from experiments.settings.schema import Config


def accelerator(config: Config) -> str:
    """Choose gpu or cpu, as Lightning names them."""
    if config.trainer.accelerator != "auto":
        return config.trainer.accelerator
    return "gpu" if torch.cuda.is_available() else "cpu"


def supports_bf16(config: Config) -> bool:
    """Decide if the device computes in bfloat16 natively, without emulation."""
    if accelerator(config) == "gpu":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    cpu = Path("/proc/cpuinfo")
    return cpu.is_file() and any(flag in cpu.read_text() for flag in ("avx512_bf16", "amx_bf16"))


def precision_of(config: Config, asked: str) -> str:
    """Choose the precision of a training, as Lightning names it; ``asked`` is what the settings say of it."""
    if asked != "auto":
        return asked
    return "bf16-mixed" if supports_bf16(config) else "32-true"


def set_threads(config: Config, processes: int = 1) -> None:
    """Share the cores between the processes of this machine, or use the number in the settings."""
    torch.set_num_threads(config.trainer.threads or max(1, cores() // processes))


def is_main_process(config: Config) -> bool:
    """Decide if this is the first of all processes, before Lightning has set them up.

    The answer comes from the environment variables of torchrun, of Lightning's own launcher, or of srun.
    """
    said = os.environ
    if "RANK" in said:  # torchrun
        return said["RANK"] == "0"
    if (
        "LOCAL_RANK" in said or "NODE_RANK" in said
    ):  # Lightning's launcher; its first process on each node has no LOCAL_RANK
        return int(said.get("NODE_RANK", 0)) * config.trainer.devices + int(said.get("LOCAL_RANK", 0)) == 0
    return said.get("SLURM_PROCID", "0") == "0"


def is_launched() -> bool:
    """Decide if Lightning's launcher started this process, as one more of a training on this machine."""
    said = os.environ
    return "RANK" not in said and said.get("LOCAL_RANK", "0") != "0"
