"""A whole experiment, small enough for tests: two simulated people, little pictures, a tiny encoder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.settings.load import load
from experiments.settings.schema import Config

TINY = """
datasets:
  pretraining:
    source:
      name: simulator
      params: {subjects: 2, sessions_per_subject: 1, session_s: 45, placements: [head], cameras: [head]}
    placement: head
    camera: head
window: {duration_s: 4.0, stride_s: 1.5, frames: 4, frame_size: 32}
build: {workers: 1, clocks: 'off'}
imu_encoder: {params: {width: 16, depth: 1, heads: 2, stem_channels: [8, 16]}}
video_encoder:
  weights: random
  params: {kwargs: {patch_size: 16, embed_dim: 16, depth: 1, num_heads: 2}, grid_size: 2}
video_head: {params: {width: 16, depth: 1, heads: 2, input_norm: standard}}
pretraining: {batch_size: 8, validation_share: 0.5}
trainer: {max_epochs: 4, validate_every: 2, threads: 1, accelerator: cpu, log_every: 1}
"""


@pytest.fixture(scope="session")
def tiny_yaml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "tiny.yaml"
    path.write_text(TINY, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def shared_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards and features are built once for all tests of a session."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def tiny(tiny_yaml: Path, shared_data: Path, tmp_path: Path) -> Callable[..., Config]:
    """A function from overrides to the tiny experiment's settings, with runs in this test's own folder."""

    def make(*overrides: str) -> Config:
        return load(str(tiny_yaml), [f"paths.data={shared_data}", f"paths.runs={tmp_path / 'runs'}", *overrides])

    return make
