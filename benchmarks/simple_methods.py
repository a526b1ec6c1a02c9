"""Forests and features of the evaluation's simple methods, against the libraries that people would use.

    python -m benchmarks.simple_methods [--runs 5]

Forests of 100 trees are fitted on 256 features of 9 to 180 labelled windows, by ours and by scikit-learn, in turns;
both give the same trees. Features of 512 windows (5 s, 50 Hz, 6 channels) are computed by ours, by the default encoder,
and, with the extra ``aeon``, by MiniRocket. All use one thread.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.probes import seconds
from datamodules.handcrafted import FEATURE_NAMES, handcrafted_features
from encoders.contract import ImuInput
from encoders.registry import build_imu_encoder
from experiments.evaluation.features.forests import fit_extra_trees, fit_forest

TREES, CLASSES, LABELLED = 100, 9, (9, 45, 90, 180)
WINDOWS, SAMPLES, RATE_HZ = 512, 250, 50.0
PAIRS = (("random forest", fit_forest, RandomForestClassifier), ("extra trees", fit_extra_trees, ExtraTreesClassifier))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark from the command line; prints Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args(argv).runs
    torch.set_num_threads(1)
    with threadpool_limits(1):
        print("| 100 trees, fitted on | ours, ms | scikit-learn, ms | ratio (lowest to highest run) |")
        print("| --- | ---: | ---: | ---: |")
        for n in LABELLED:
            for name, ours, theirs in PAIRS:
                features, labels = _labelled(n)
                mine = partial(ours, features, labels, CLASSES, 0, TREES)
                print(_row(f"{n} windows, {name}", mine, partial(_fit, theirs, features, labels), runs))
        print(f"\n| features of {WINDOWS} windows | windows a second |\n| --- | ---: |")
        for name, compute in _features().items():
            compute()
            taken = statistics.median(seconds(compute) for _ in range(runs))
            print(f"| {name} | {WINDOWS / taken:,.0f} |")


def _row(title: str, ours: Callable[[], object], theirs: Callable[[], object], runs: int) -> str:
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(runs + 1)][1:]
    ratios = [b / a for a, b in pairs]
    mine, other = (1000 * statistics.median(side) for side in zip(*pairs, strict=True))
    middle = statistics.median(ratios)
    return f"| {title} | {mine:.1f} | {other:.1f} | {middle:.1f} x ({min(ratios):.1f} to {max(ratios):.1f}) |"


def _labelled(n: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    labels = np.arange(n) % CLASSES
    features = rng.normal(size=(n, len(FEATURE_NAMES)))
    features[:, :40] += 0.5 * labels[:, None]
    return features.astype(np.float32), labels


def _fit(
    kind: type[RandomForestClassifier | ExtraTreesClassifier], features: NDArray[np.float32], labels: NDArray[np.int64]
) -> None:
    kind(TREES, random_state=0).fit(features, labels)


def _features() -> dict[str, Callable[[], object]]:
    """Name ways to compute features of the same windows."""
    imu = np.random.default_rng(0).normal(size=(WINDOWS, SAMPLES, 6)).astype(np.float32)
    samples, channels = np.ones((WINDOWS, SAMPLES), np.bool_), np.ones((WINDOWS, 6), np.bool_)
    encoder = build_imu_encoder("cnn_transformer", {}, ImuInput(SAMPLES, RATE_HZ)).eval()
    tensors = [torch.from_numpy(array) for array in (imu, channels, samples)]

    @torch.inference_mode()
    def encode() -> None:
        encoder(*tensors)

    found: dict[str, Callable[[], object]] = {
        f"{len(FEATURE_NAMES)} handcrafted": partial(handcrafted_features, imu, samples, channels, RATE_HZ),
        "the default IMU encoder": encode,
    }
    if importlib.util.find_spec("aeon"):
        from aeon.transformations.collection.convolution_based import MiniRocket

        series = np.ascontiguousarray(imu.transpose(0, 2, 1))
        rocket = MiniRocket(random_state=0, n_jobs=1).fit(series)
        found["9,996 of MiniRocket (aeon)"] = partial(rocket.transform, series)
    return found


if __name__ == "__main__":
    main()
