"""Checks of an exported network: is it the same one, what do 8 bits cost, how long does a window take.

Shape legend: B windows, T samples, C classes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.recording import STANDARD_GRAVITY
from datamodules.shards.reader import ShardSet
from datamodules.windows.settings import WindowSettings
from experiments.inference.errors import InferenceError
from experiments.inference.graph import Exportable, Windows
from experiments.inference.onnx_files import OnnxModel, Traced
from experiments.statistics.intervals import bootstrap_interval

TOLERANCE = 1e-4  # largest difference of any number, in the units of the outputs
_ROUNDS = 200
_FEWEST = 3  # people for an interval


@dataclass(frozen=True)
class Cost:
    """What 8 bits cost.

    Attributes:
        largest: difference of any output from single precision.
        similarity: mean cosine of the first output, row by row.
        agreement: share of windows with the same likeliest activity; None for an encoder.
        accuracy: share of a person's labelled windows that is right in single precision, the mean over people; None
            without labels.
        accuracy_int8: the same in 8 bits.
        low, high: 95 % interval over people of what 8 bits change; None for fewer than three people.
        labelled: windows with a label that the head knows.
        people: whose they are, how many.
        new_people: the head was fitted on none of them; otherwise it was fitted on all.
    """

    largest: float
    similarity: float
    agreement: float | None
    accuracy: float | None
    accuracy_int8: float | None
    labelled: int
    low: float | None = None
    high: float | None = None
    people: int = 0
    new_people: bool = False


def made_up(exportable: Exportable, rows: int, seed: int = 0) -> Windows:
    """Windows of gravity, swings and noise; in some, samples or the gyroscope are missing."""
    rng = np.random.default_rng(seed)
    samples, rate = exportable.imu_input.samples, exportable.imu_input.rate_hz
    t = np.arange(samples)[None, :, None] / rate
    down = rng.normal(size=(rows, 1, 3))
    imu = np.zeros((rows, samples, 6))
    imu[..., :3] = STANDARD_GRAVITY * down / np.linalg.norm(down, axis=2, keepdims=True)
    swings = np.sin(2 * np.pi * (rng.uniform(0.3, 5, (rows, 1, 6)) * t + rng.uniform(0, 1, (rows, 1, 6))))
    imu += rng.exponential(2, (rows, 1, 6)) * swings + rng.normal(0, 0.1, (rows, samples, 6))
    channel_mask, sample_mask = np.ones((rows, 6), bool), np.ones((rows, samples), bool)
    channel_mask[::5, 3:] = False
    for row in range(2, rows, 5):  # a part is measured, as in a short recording
        first, last = np.sort(rng.integers(0, samples, 2))
        sample_mask[row] = False
        sample_mask[row, first : last + 1] = True
    imu[~(sample_mask[..., None] & channel_mask[:, None])] = 0
    return Windows(imu.astype(np.float32), channel_mask, sample_mask, np.full(rows, ""))


def of_shards(exportable: Exportable, folder: Path, rows: int, seed: int = 0) -> Windows:
    """Draw real windows from a folder of shards, with their labels.

    Raises:
        InferenceError: there are no shards, or their windows have another length or rate.
    """
    if not (folder / "index.json").is_file():
        raise InferenceError(f"{folder}: no shards here; expected a folder with index.json, from build_shards")
    shards = ShardSet.open(folder)
    found = shards.settings
    shape = exportable.imu_input
    if (found.samples, found.imu_rate_hz) != (shape.samples, shape.rate_hz):
        raise InferenceError(
            f"{folder}: its windows have {found.samples} samples at {found.imu_rate_hz:g} Hz; expected {shape.samples}"
            f" at {shape.rate_hz:g} Hz"
        )
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(shards.n_windows)[:rows])
    imu, sample_mask, channel_mask = shards.imu(chosen)
    labels, people = (np.asarray(shards.table[name][chosen], np.str_) for name in ("activity", "subject"))
    return Windows(imu, channel_mask, sample_mask, labels, people)


def largest_difference(a: dict[str, NDArray[Any]], b: dict[str, NDArray[Any]]) -> float:
    """The largest absolute difference of any number; infinite if shapes differ or a number is missing."""
    worst = 0.0
    for name, value in a.items():
        if value.shape != b[name].shape:
            return np.inf
        apart = np.abs(value.astype(np.float64) - b[name].astype(np.float64))
        worst = max(worst, float(apart.max(initial=0.0)) if np.isfinite(apart).all() else np.inf)
    return worst


def check_parity(
    exportable: Exportable, traced: Traced, model: OnnxModel, windows: Windows
) -> tuple[float, dict[str, NDArray[Any]]]:
    """Compare torch, the program of torch.export and ONNX, with these windows and with others' sizes.

    Where the length is free, windows that are cut to two thirds are compared too, and a single one.

    Returns:
        The largest difference of all, and torch's outputs for ``windows``.

    Raises:
        InferenceError: it is above ``TOLERANCE``.
    """
    expected = exportable.run(windows)
    cases = [(windows, expected)]
    one = _part(windows, slice(0, 1), windows.imu.shape[1])
    cases.append((one, exportable.run(one)))
    if traced.any_length:
        shorter = _part(windows, slice(0, 64), max(32, 2 * windows.imu.shape[1] // 3))
        cases.append((shorter, exportable.run(shorter)))
    worst = 0.0
    program = traced.program.module()
    for some, right in cases:
        given = exportable.inputs(some)
        with torch.inference_mode():
            outputs = program(*(torch.from_numpy(np.ascontiguousarray(value[:256])) for value in given.values()))
        by_program = {name: value.numpy() for name, value in zip(exportable.graph.outputs, outputs, strict=True)}
        first = {name: value[:256] for name, value in right.items()}
        for what, apart in (
            ("torch.export", largest_difference(first, by_program)),
            ("onnxruntime", largest_difference(right, model.run(given))),
        ):
            worst = max(worst, apart)
            if not apart <= TOLERANCE:
                raise InferenceError(
                    f"{what} differs from torch by {apart:.2g} on {len(some)} windows of {some.imu.shape[1]} samples;"
                    f" expected at most {TOLERANCE:g}; nothing was written"
                )
    return worst, expected


def cost_of_int8(
    exportable: Exportable, single: dict[str, NDArray[Any]], int8: dict[str, NDArray[Any]], windows: Windows
) -> Cost:
    """Compare the outputs of both models."""
    name = exportable.graph.outputs[0]
    a, b = single[name].astype(np.float64), int8[name].astype(np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    similarity = float(((a * b).sum(axis=1) / np.maximum(norms, 1e-12)).mean())
    cost = Cost(largest_difference(single, int8), similarity, None, None, None, 0)
    if not exportable.classes:
        return cost
    cost = replace(cost, agreement=float((a.argmax(axis=1) == b.argmax(axis=1)).mean()))
    known = np.isin(windows.labels, exportable.classes)
    people = windows.people if windows.people is not None else np.full(len(windows), "")
    unseen = known & ~np.isin(people, exportable.fitted_on)
    if unseen.any():  # windows that a head was fitted on say nothing of the next person
        known = unseen
    if not known.any():
        return cost
    names, who = np.array(exportable.classes), people[known]
    right = [names[p[known].argmax(axis=1)] == windows.labels[known] for p in (a, b)]
    single_, int8_ = (np.array([r[who == person].mean() for person in np.unique(who)]) for r in right)
    if len(single_) >= _FEWEST:
        low, high = bootstrap_interval(int8_ - single_)
        cost = replace(cost, low=low, high=high)
    return replace(
        cost,
        accuracy=float(single_.mean()),
        accuracy_int8=float(int8_.mean()),
        labelled=int(known.sum()),
        people=len(single_),
        new_people=bool(unseen.any()) and windows.people is not None,
    )


def latency_ms(exportable: Exportable, model: OnnxModel, windows: Windows) -> dict[str, float]:
    """Milliseconds for one window on one core: the fastest, median and 95th percentile of 200 rounds."""
    given = exportable.inputs(_part(windows, slice(0, 1), windows.imu.shape[1]))
    taken = []
    for _ in range(_ROUNDS + 10):
        start = time.perf_counter()
        model.run(given)
        taken.append(1000 * (time.perf_counter() - start))
    found = np.array(taken[10:])  # the first ones allocate
    return {"least": float(found.min()), "median": float(np.median(found)), "p95": float(np.quantile(found, 0.95))}


def _part(windows: Windows, rows: slice, samples: int) -> Windows:
    return Windows(
        np.ascontiguousarray(windows.imu[rows, :samples]),
        windows.channel_mask[rows],
        np.ascontiguousarray(windows.sample_mask[rows, :samples]),
        windows.labels[rows],
    )


def settings_for_users(window: WindowSettings) -> dict[str, Any]:
    """How windows are cut, in plain values."""
    return {
        "seconds": window.duration_s,
        "stride_seconds": window.stride_s,
        "longest_gap_seconds": window.max_gap_s,
        "faults_left_out": sorted(reason.value for reason in window.excluded_faults()),
    }
