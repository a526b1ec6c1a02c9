"""A head of each method on a small simulated study, and a recording of somebody else."""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from datamodules.recording import STANDARD_GRAVITY, ImuStream
from datamodules.sources.registry import make_source
from experiments.adapt import run
from experiments.settings.schema import Config

STUDY = (
    "datasets.study.source.name=simulator",
    "datasets.study.source.params={population: healthy, subjects: 4, first_subject: 50, sessions_per_subject: 2,"
    " session_s: 80, placements: [head], cameras: []}",
    "datasets.study.placement=head",
    "window.stride_s=4.0",
    "evaluation.targets=[{name: new people, dataset: study}]",
    "evaluation.bootstrap=200",
)
METHODS = ("hybrid_logistic", "linear_probe", "handcrafted_logistic")


class Adapted(NamedTuple):
    config: Config
    folders: dict[str, Path]  # method -> its head


@pytest.fixture(scope="session")
def adapted(trained_runs: Path, tiny_in: Callable[..., Config], tmp_path_factory: pytest.TempPathFactory) -> Adapted:
    runs = tmp_path_factory.mktemp("adapted") / "runs"
    shutil.copytree(trained_runs, runs)
    config = tiny_in(runs, "trainer.max_epochs=1", *STUDY)
    with contextlib.redirect_stderr(io.StringIO()):
        return Adapted(config, {name: run(config, name, folder=runs / "heads" / name) for name in METHODS})


@pytest.fixture(scope="session")
def stream() -> ImuStream:
    """Forty seconds of a person of whom no head has seen anything, at 100 Hz, without lost samples."""
    params = {"subjects": 1, "first_subject": 90, "sessions_per_subject": 1, "session_s": 42.0, "cameras": []}
    source = make_source("simulator", {**params, "placements": ["head"]})
    recorded = source.load(source.names()[0]).imu("head")
    there = ~np.isnan(recorded.values).any(axis=1)
    times = np.arange(4000) / 100 + np.ceil(recorded.times[0])
    values = [np.interp(times, recorded.times[there], recorded.values[there, k]) for k in range(6)]
    return ImuStream(times, np.stack(values, axis=1), "head")


@pytest.fixture(scope="session")
def write_csv() -> Callable[..., Path]:
    """A function that writes a stream as CSV, times in ms."""

    def write(path: Path, stream: ImuStream, unit: str = "m/s^2", turn: str = "rad/s") -> Path:
        values = stream.values.copy()
        values[:, :3] /= {"m/s^2": 1.0, "g": STANDARD_GRAVITY}[unit]
        values[:, 3:] /= {"rad/s": 1.0, "deg/s": np.pi / 180}[turn]
        rows = np.column_stack([stream.times * 1000, values])
        header = "time_ms,ax,ay,az,gx,gy,gz"
        np.savetxt(path, rows, "%.12g", ",", header=header, comments="")
        return path

    return write
