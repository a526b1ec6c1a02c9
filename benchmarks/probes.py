"""Probes of a protocol, against a probe that is trained by mini-batches for every cell.

    python -m benchmarks.probes [--runs 3]

There are 4 shots x 5 seeds x 5 folds of a linear probe on a frozen encoder, with five activities. Weights and windows
(5 s, 50 Hz, 6 channels) are random, which costs as much as real ones. Ours encodes every window once, and solves for
each probe. The paper's way trains each cell's probe with AdamW at 1e-3 for 25 epochs in batches of 32, and encodes the
windows each time. It is timed for the four shots of one seed and fold, and multiplied by 25. Others are between the
two, on features that are kept: the same training by a loop of its own, by a Lightning Trainer for each cell, and
scikit-learn's ``LogisticRegression``, which solves the same problem as ours does (all cells are timed).
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.contract import ImuEncoder, ImuInput
from encoders.registry import build_imu_encoder
from lightning_modules.probe import Standardisation, fit_probe

SHOTS, SEEDS, FOLDS, CLASSES = (10, 20, 50, 100), 5, 5, 5
CELLS = len(SHOTS) * SEEDS * FOLDS
WINDOWS, TESTED, SAMPLES, RATE_HZ = 1000, 100, 250, 50.0
FEATURES = 256  # features per window, if they are made without an encoder


WAYS = ("features kept", "encoded each time", "Lightning", "scikit-learn")
PAPERS_WAYS = WAYS[:2]
_TITLES = {
    "features kept": "AdamW, 25 epochs, features kept",
    "encoded each time": "AdamW, 25 epochs, encoded each time",
    "Lightning": "the same as a Lightning fit for each cell, features kept",
    "scikit-learn": "scikit-learn's LogisticRegression, features kept",
}


def measure(runs: int, ways: Sequence[str] = WAYS) -> dict[str, list[float]]:
    """Measure seconds for all cells, run by run: ``ours``, and each of ``ways``."""
    torch.manual_seed(0)
    encoder = build_imu_encoder("cnn_transformer", {}, ImuInput(SAMPLES, RATE_HZ)).eval().requires_grad_(False)
    labels = np.arange(WINDOWS + TESTED) % CLASSES
    # Each activity has its own direction, which the solver can find.
    shape = torch.randn(CLASSES, SAMPLES, 6)
    imu = torch.randn(WINDOWS + TESTED, SAMPLES, 6) + 0.3 * shape[labels]
    rows: dict[str, list[float]] = {name: [] for name in ("ours", *ways)}
    for _ in range(runs):
        rows["ours"].append(seconds(partial(solve, encoder, imu, labels)))
        features = encode(encoder, imu)
        encoding = seconds(partial(encode, encoder, imu))
        kept = partial(train_all, nn.Identity(), features, labels)
        each = partial(train_all, Pooled(encoder), imu, labels)
        fitted = partial(fit_all_by_lightning, features, labels)
        solved = partial(solve_by_scikit_learn, features.numpy(), labels)
        # What is timed, how often the protocol does it, and the encoding that it needs beside.
        works: dict[str, tuple[Callable[[], object], int, float]] = {
            "features kept": (kept, SEEDS * FOLDS, encoding),
            "encoded each time": (each, SEEDS * FOLDS, 0.0),
            "Lightning": (fitted, SEEDS * FOLDS, encoding),
            "scikit-learn": (solved, 1, encoding),
        }
        for name in ways:
            work, times, beside = works[name]
            rows[name].append(beside + times * seconds(work))
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark from the command line; prints Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args(argv).runs
    rows = measure(runs)
    print(f"{CELLS} cells, medians of {runs}, {torch.get_num_threads()} threads\n")
    print("| probes | seconds | ours is faster by |\n| --- | ---: | ---: |")
    ours = statistics.median(rows["ours"])
    print(f"| ours: windows encoded once, probes solved | {ours:.1f} | |")
    for name in WAYS:
        taken = statistics.median(rows[name])
        print(f"| {_TITLES[name]} | {taken:.1f} | {taken / ours:.1f} x |")


class Pooled(nn.Module):
    """An encoder's pooled features of windows without gaps, (B, P)."""

    def __init__(self, encoder: ImuEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, imu: Tensor) -> Tensor:
        """Encode windows (B, T, 6)."""
        everything = torch.ones(imu.shape[:2], dtype=torch.bool)
        pooled: Tensor = self.encoder(imu, torch.ones(len(imu), 6, dtype=torch.bool), everything).pooled
        return pooled


@torch.inference_mode()
def encode(encoder: ImuEncoder, imu: Tensor) -> Tensor:
    """Encode all windows, (N, P)."""
    return torch.cat([Pooled(encoder)(part) for part in imu.split(256)])


def solve(encoder: ImuEncoder, imu: Tensor, labels: NDArray[np.int64]) -> None:
    """Solve all cells our way."""
    features = encode(encoder, imu).numpy()
    standardisation = Standardisation.of(features[:WINDOWS])
    for cell in range(SEEDS * FOLDS):
        for shots in SHOTS:
            chosen = support(labels, shots, cell)
            fit_probe(features[chosen], labels[chosen], CLASSES, standardisation, 1.0).probabilities(features[WINDOWS:])


def solve_by_scikit_learn(features: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
    """Solve all cells by scikit-learn, with the same standardisation and penalty as ours."""
    from sklearn.linear_model import LogisticRegression

    standardisation = Standardisation.of(features[:WINDOWS])
    rows = np.asarray(standardisation(features))
    for cell in range(SEEDS * FOLDS):
        for shots in SHOTS:
            chosen = support(labels, shots, cell)
            LogisticRegression(max_iter=1000).fit(rows[chosen], labels[chosen]).predict_proba(rows[WINDOWS:])


def fit_all_by_lightning(features: Tensor, labels: NDArray[np.int64]) -> None:
    """Train the cells of one seed and fold, each by a Trainer of its own."""
    from torch.utils.data import DataLoader, TensorDataset

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    for shots in SHOTS:
        chosen = support(labels, shots, 0)
        module = _Linear(features.shape[1])
        batches = DataLoader(
            TensorDataset(features[chosen].clone(), torch.from_numpy(labels[chosen])), 32, shuffle=True
        )
        trainer = L.Trainer(
            max_epochs=25,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, batches)
        with torch.no_grad():
            module.linear(features[WINDOWS:]).softmax(1)


class _Linear(L.LightningModule):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, CLASSES)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        return F.cross_entropy(self.linear(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


def support(labels: NDArray[np.int64], shots: int, seed: int) -> NDArray[np.int64]:
    """Draw ``shots`` windows of each activity."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.choice(np.flatnonzero(labels[:WINDOWS] == c), shots, False) for c in range(CLASSES)])


def train_all(encoder: nn.Module, inputs: Tensor, labels: NDArray[np.int64]) -> None:
    """Train the cells of one seed and fold."""
    for shots in SHOTS:
        train(encoder, inputs, labels, shots)


def train(encoder: nn.Module, inputs: Tensor, labels: NDArray[np.int64], shots: int) -> None:
    """Train and test one cell the paper's way."""
    chosen = support(labels, shots, 0)
    x, y = inputs[chosen].clone(), torch.from_numpy(labels[chosen])
    with torch.no_grad():
        probe = nn.Linear(encoder(x[:2]).shape[1], CLASSES)
    optimizer = torch.optim.AdamW(probe.parameters(), lr=1e-3)
    for _ in range(25):
        for batch in torch.randperm(len(x)).split(32):
            with torch.no_grad():
                features = encoder(x[batch])
            loss = F.cross_entropy(probe(features), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        probe(encoder(inputs[WINDOWS:])).softmax(1)


def seconds(work: Callable[[], object]) -> float:
    """Measure the time of a call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
