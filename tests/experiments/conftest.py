"""A whole experiment, small enough for tests: two simulated people, little pictures, a tiny encoder.

It logs nothing: drawing what TensorBoard shows takes most of the time of so small a run.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.tiny_experiment import two_people

from experiments.pretrain import run
from experiments.settings.load import load
from experiments.settings.schema import Config

TINY = (
    two_people(45)
    + """
window: {duration_s: 4.0, stride_s: 1.5, frames: 4, frame_size: 32}
build: {workers: 1, clocks: 'off'}
imu_encoder: {params: {width: 16, depth: 1, heads: 2, stem_channels: [8, 16]}}
video_encoder:
  weights: random
  params: {kwargs: {patch_size: 16, embed_dim: 16, depth: 1, num_heads: 2}, grid_size: 2}
video_head: {params: {width: 16, depth: 1, heads: 2, input_norm: standard}}
pretraining: {batch_size: 8, validation_share: 0.5}
trainer: {max_epochs: 4, validate_every: 2, threads: 1, accelerator: cpu, precision: 32-true, log_every: 1, loggers: []}
"""
)


@pytest.fixture(scope="session")
def tiny_yaml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "tiny.yaml"
    path.write_text(TINY, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def shared_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards and features are built once for all tests of a session."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def tiny_in(tiny_yaml: Path, shared_data: Path) -> Callable[..., Config]:
    """A function from a folder of runs and overrides to the tiny experiment's settings."""

    def make(runs: Path, *overrides: str) -> Config:
        return load(str(tiny_yaml), [f"paths.data={shared_data}", f"paths.runs={runs}", *overrides])

    return make


@pytest.fixture
def tiny(tiny_in: Callable[..., Config], tmp_path: Path) -> Callable[..., Config]:
    """A function from overrides to the tiny experiment's settings, with runs in this test's own folder."""
    return lambda *overrides: tiny_in(tmp_path / "runs", *overrides)


@pytest.fixture(scope="session")
def trained_runs(tiny_in: Callable[..., Config], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with the tiny experiment after one epoch; to be read or copied."""
    runs = tmp_path_factory.mktemp("trained") / "runs"
    run(tiny_in(runs, "trainer.max_epochs=1"))
    return runs


@pytest.fixture
def trained(tiny: Callable[..., Config], trained_runs: Path) -> Callable[..., Config]:
    """As ``tiny``, after one epoch of pretraining."""
    runs = Path(tiny().paths.runs)
    shutil.copytree(trained_runs, runs)
    return lambda *overrides: tiny("trainer.max_epochs=1", *overrides)
