"""Scenes that are disturbed: each command on a tiny experiment, from a state that is copied for every trial."""

from __future__ import annotations

import hashlib
import importlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from helpers.tiny_experiment import two_people

TINY = (
    two_people(24)
    + """
window: {duration_s: 4.0, stride_s: 1.5, frames: 2, frame_size: 16}
build: {workers: 1, clocks: 'off', recordings_per_shard: 1}
imu_encoder: {params: {width: 8, depth: 1, heads: 1, stem_channels: [4, 8]}}
video_encoder:
  weights: random
  params: {kwargs: {patch_size: 16, embed_dim: 16, depth: 1, num_heads: 2}, grid_size: 1}
video_head: {params: {width: 8, depth: 1, heads: 1, input_norm: standard}}
shared_space: {width: 16}
pretraining: {batch_size: 4, validation_share: 0.5}
trainer:
  {max_epochs: 3, validate_every: 2, threads: 1, accelerator: cpu, log_every: 1, loggers: [], checkpoint_every_steps: 1}
"""
)
TARGET = """
  target:
    source:
      name: simulator
      params:
        {population: parkinson, subjects: 4, first_subject: 50, sessions_per_subject: 1, session_s: 60,
         placements: [head], cameras: []}
    placement: head
"""
EVALUATION = """
evaluation:
  targets: [{name: people, dataset: target}]
  methods: [METHODS]
  shots: [1]
  draws: 2
  draws_trained: 2
  supervised_epochs: 1
  supervised_min_steps: 20
  bootstrap: 20
  map_windows: 0
  workers: WORKERS
"""
COLUMNS = ("--time", "t:s", "--acceleration", "ax,ay,az:m/s^2", "--gyroscope", "gx,gy,gz:rad/s")

Digest = Callable[[Path], str]


@dataclass(frozen=True)
class Scene:
    """A command that can be disturbed.

    Attributes:
        name: what tables call it.
        module: of the command.
        arguments: of its command line; paths are relative to the folder it runs in.
        results: for each file that counts (a pattern below the folder), how its content is digested.
        growing: patterns of files that change while the command runs: after a fault they have to be whole, no more.
        ranks: processes that run the command together.
        prepare: called in the process before the command, to let small data use what large data would.
    """

    name: str
    module: str
    arguments: tuple[str, ...]
    results: Mapping[str, Digest]
    growing: Mapping[str, Callable[[Path], object]]
    ranks: int = 1
    prepare: Callable[[], None] = lambda: None

    def found(self, folder: Path) -> dict[str, str]:
        """The digest of each result that is there."""
        files = [(path, digest) for pattern, digest in self.results.items() for path in folder.glob(pattern)]
        return {str(path.relative_to(folder)): digest(path) for path, digest in sorted(files)}

    def torn(self, folder: Path, expected: Mapping[str, str]) -> list[str]:
        """Name what has its final name after a fault, but not its final content, or can't be read."""
        problems = []
        for pattern, check in self.growing.items():
            for path in folder.glob(pattern):
                try:
                    check(path)
                except Exception as error:
                    problems.append(f"{path.relative_to(folder)} is there, but torn: {error}")
        for pattern, digest in self.results.items():
            if pattern in self.growing:
                continue
            for path in folder.glob(pattern):
                name = str(path.relative_to(folder))
                try:
                    same = digest(path) == expected.get(name)
                except Exception as error:
                    problems.append(f"{name} is there, but torn: {error}")
                    continue
                if not same:
                    problems.append(f"{name} is there with another content")
        return problems


def of_bytes(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def of_weights(path: Path) -> str:
    """Digest of a checkpoint's step and weights; its other parts name times."""
    from lightning_modules.checkpoint import read_checkpoint

    content = read_checkpoint(path)
    found = hashlib.sha256(str(content["global_step"]).encode())
    for name, value in sorted(content["state_dict"].items()):
        if hasattr(value, "numpy"):
            found.update(name.encode() + np.ascontiguousarray(value.numpy()).tobytes())
    return found.hexdigest()


def of_rows(path: Path) -> str:
    """Digest of a table without the seconds that things took."""
    table = pd.read_csv(path, keep_default_na=False, dtype=str).drop(columns="seconds", errors="ignore")
    return hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()


def readable_checkpoint(path: Path) -> object:
    from lightning_modules.checkpoint import read_checkpoint

    return read_checkpoint(path)


SHARDS = {"data/shards/*/*/windows-*.h5": of_bytes, "data/shards/*/*/index.json": of_bytes}
FEATURES = {f"data/features/*/*/{name}": of_bytes for name in ("features.json", "features.f16", "pooled.f16")}
CHECKPOINT = "runs/*/*/checkpoints/last.ckpt"
PATHS = ("paths.data=data", "paths.runs=runs")
TWO = ("trainer.devices=2", "trainer.start_within_s=15")


def scenes() -> dict[str, Scene]:
    """All of them, by name; the order is that in which each needs the results of those before it."""
    trained = {CHECKPOINT: of_weights}
    while_trained = {"runs/*/*/checkpoints/[!.]*.ckpt": readable_checkpoint, CHECKPOINT: readable_checkpoint}
    evaluated = {"runs/*/*/results.csv": of_rows, "runs/*/*/splits.yaml": of_bytes}
    predicted = {f"out/{name}.csv": of_bytes for name in ("predictions", "bouts", "hours", "days")}
    files = ("head", "walk.csv", "--output", "out", *COLUMNS)
    every = (
        Scene("build", "experiments.build_shards", ("tiny.yaml", *PATHS), SHARDS, {}),
        Scene("build2", "experiments.build_shards", ("tiny.yaml", *PATHS, "build.workers=2"), SHARDS, {}),
        Scene("features", "experiments.features", ("tiny.yaml", *PATHS), FEATURES, {}),
        Scene("pretrain", "experiments.pretrain", ("tiny.yaml", *PATHS), trained, while_trained),
        Scene("ranks", "experiments.pretrain", ("tiny.yaml", *PATHS, *TWO), trained, while_trained, 2),
        Scene("evaluate", "experiments.eval_ood", ("one/tiny.yaml", *PATHS), evaluated, {}),
        Scene("evaluate2", "experiments.eval_ood", ("two/tiny.yaml", *PATHS), evaluated, {}, 1, _small_is_worth_it),
        Scene("predict", "experiments.predict", (*files, "--workers", "1"), predicted, {}),
        Scene("predict2", "experiments.predict", (*files, "--workers", "2"), predicted, {}, prepare=_small_is_worth_it),
    )
    return {scene.name: scene for scene in every}


def write_inputs(folder: Path) -> None:
    """Write the experiment's settings, and a recording of a person whom nobody has seen."""
    from datamodules.sources.registry import make_source

    (folder / "tiny.yaml").write_text(TINY, encoding="utf-8")
    few = "majority, handcrafted_logistic, linear_probe"
    # The file's name is the experiment's. Only two workers train encoders: in one process that takes long to start.
    for name, workers, methods in (("one", "1", few), ("two", "2", f"{few}, supervised")):
        evaluation = EVALUATION.replace("WORKERS", workers).replace("METHODS", methods)
        text = TINY.replace("\nwindow:", TARGET + "window:", 1) + evaluation
        (folder / name).mkdir()
        (folder / name / "tiny.yaml").write_text(text, encoding="utf-8")
    params = {"subjects": 1, "first_subject": 90, "sessions_per_subject": 1, "session_s": 42.0, "cameras": []}
    source = make_source("simulator", {**params, "placements": ["head"]})
    stream = source.load(source.names()[0]).imu("head")
    table = pd.DataFrame(
        np.column_stack([stream.times, stream.values]), columns=["t", *["ax", "ay", "az", "gx", "gy", "gz"]]
    )
    table.dropna().to_csv(folder / "walk.csv", index=False)


def make_head(folder: Path) -> None:
    """Fit the head that the predictions use."""
    from experiments.adapt import run
    from experiments.settings.load import load

    paths = [f"paths.data={folder / 'data'}", f"paths.runs={folder / 'runs'}"]
    run(load(str(folder / "one/tiny.yaml"), paths), "handcrafted_logistic", folder=folder / "head")


def main_of(scene: Scene) -> Callable[[list[str]], int]:
    main: Callable[[list[str]], int] = importlib.import_module(scene.module).main
    return main


def copy(start: Path, folder: Path) -> None:
    """Copy a state, but what only a finished process leaves: its locks and outputs."""
    shutil.copytree(start, folder, dirs_exist_ok=True)


def _small_is_worth_it() -> None:
    """Let the worker pools take little work, too."""
    from experiments.evaluation import protocol
    from experiments.inference import parts, scoring

    vars(protocol)["WORTH_IT"] = vars(protocol)["TRAININGS_WORTH_IT"] = 1
    scoring._WORTH_IT = 2
    parts.parts_of.__defaults__ = (3,)
