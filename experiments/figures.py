"""Pictures of an evaluation: few-shot curves with intervals, and confusion matrices.

Shape legend: C activities.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from datamodules.splits import natural_key
from experiments.intervals import FEWEST
from experiments.report import METRICS, Report, method_title
from experiments.results import Estimate

# Okabe and Ito's palette: told apart with any kind of colour vision; markers differ too.
_STYLES = {
    "linear_probe": ("#0072B2", "o"),
    "finetune": ("#D55E00", "s"),
    "supervised": ("#009E73", "^"),
    "random_frozen": ("#56B4E9", "v"),
    "handcrafted_rf": ("#CC79A7", "D"),
    "zero_shot": ("#E69F00", "*"),
    "majority": ("#7F7F7F", "x"),
}
_OTHERS = (("#000000", "P"), ("#8C510A", "X"), ("#5E3C99", "<"), ("#01665E", ">"))
_LARGE = 12  # more activities than this get smaller cells, and numbers in the fuller ones only


def few_shot_figure(
    report: Report, dataset: str, metrics: tuple[str, ...] = ("balanced_accuracy", "macro_f1")
) -> Figure:
    """Metric over shots per class, one line a method; methods without labels are level lines.

    The legend lists methods from best to worst at the most shots of the first metric.
    """
    figure = Figure(figsize=(4.6 * len(metrics) + 2.6, 4.4), layout="constrained")
    axes = figure.subplots(1, len(metrics), squeeze=False)[0]
    handles: dict[str, Any] = {}
    for axis, metric in zip(axes, metrics, strict=True):
        table = report.estimates(dataset, metric)
        handles = {**_curves(axis, table), **handles}
        axis.set_ylim(0, 100)
        axis.set(ylabel=f"{METRICS[metric]}, %")
        axis.grid(axis="y", color="0.9")
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    first = report.estimates(dataset, metrics[0])
    ranked = sorted(first, key=lambda method: first[method][max(first[method])].mean, reverse=True)
    figure.legend(
        [handles[method] for method in ranked],
        [method_title(method) for method in ranked],
        loc="outside right center",
        frameon=False,
    )
    people = len({subject for r in report.of(dataset) for subject in r.by_subject})
    spread = "mean" if people < FEWEST else "mean and 95 % interval"
    figure.suptitle(f"{dataset}{report.flags(dataset)}\n{spread} over {people} participants", fontsize=11)
    return figure


def _curves(axis: Axes, table: dict[str, dict[int, Estimate]]) -> dict[str, Any]:
    """Draw all methods of one metric; what stands for each in a legend."""
    handles: dict[str, Any] = {}
    shots = sorted({k for values in table.values() for k in values if k > 0})
    curves = [method for method, values in table.items() if any(k > 0 for k in values)]
    for method, values in table.items():
        colour, marker = _style(method, list(table))
        if method not in curves:
            value = values[0]
            handles[method] = axis.axhline(100 * value.mean, color=colour, linestyle="--", linewidth=1.6)
            if not math.isnan(value.low):
                axis.axhspan(100 * value.low, 100 * value.high, color=colour, alpha=0.12, linewidth=0)
            continue
        ks = [k for k in shots if k in values]
        # Side by side, so that intervals can be told apart.
        aside = 0.04 * (curves.index(method) - (len(curves) - 1) / 2)
        handles[method] = axis.errorbar(
            [k * math.exp(aside) for k in ks],
            [100 * values[k].mean for k in ks],
            yerr=_bars([values[k] for k in ks]),
            color=colour,
            marker=marker,
            markersize=5.5,
            linewidth=1.8,
            elinewidth=1.0,
            capsize=2.5,
        )
    if shots:
        axis.set_xscale("log", base=2)
        axis.set_xticks(shots, [str(k) for k in shots])
        axis.set_xticks([], minor=True)
        axis.set_xlim(shots[0] / 1.3, shots[-1] * 1.3)
        axis.set_xlabel("labelled windows per class, k")
    else:
        axis.set_xticks([])
        axis.set_xlabel("no method here uses labels")
    return handles


def confusion_figure(report: Report, dataset: str, method: str, shots: int) -> Figure | None:
    """What each true activity's windows were taken for, over all folds and draws; None without cells."""
    results = report.of(dataset, method, shots)
    if not results:
        return None
    classes = sorted({name for r in results for name in r.classes}, key=natural_key)
    counts = np.zeros((len(classes), len(classes)))
    for result in results:
        at = [classes.index(name) for name in result.classes]
        counts[np.ix_(at, at)] += np.asarray(result.confusion)
    return _matrix(counts, classes, _confusion_title(report, dataset, method, shots))


def _matrix(counts: NDArray[np.float64], classes: list[str], title: str) -> Figure:
    n = len(classes)
    share = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    large = n > _LARGE
    side = 2.6 + max((0.28 if large else 0.44) * n, 2.4)
    figure = Figure(figsize=(side + 0.9, side + 0.3), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(share, vmin=0, vmax=100, cmap="Blues")
    names = [name.replace("_", " ") for name in classes]
    size = 7.5 if large else 9
    axes.set_xticks(range(n), names, rotation=90 if n > 4 else 0, fontsize=size)
    axes.set_yticks(range(n), names, fontsize=size)
    axes.set_xlabel("recognised as")
    axes.set_ylabel("true activity")
    axes.set_title(title, fontsize=11)
    for i, j in np.argwhere(share >= (2 if large else 0.5)):
        colour = "white" if share[i, j] > 55 else "black"
        axes.text(j, i, f"{share[i, j]:.0f}", ha="center", va="center", fontsize=6.5 if large else 8.5, color=colour)
    axes.set_xticks(np.arange(n + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(n + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="0.88", linewidth=0.5)
    axes.tick_params(which="minor", length=0)
    bar = figure.colorbar(image, shrink=0.8)
    bar.set_label("share of the true activity's windows, %")
    return figure


def _confusion_title(report: Report, dataset: str, method: str, shots: int) -> str:
    at = f", k = {shots}" if shots else ""
    return f"{dataset}{report.flags(dataset)}\n{method_title(method)}{at}"


def figures(report: Report) -> dict[str, Figure]:
    """All by name: curves of every target, confusion of the probe at the most shots and of zero-shot."""
    result: dict[str, Figure] = {}
    for dataset in report.datasets():
        name = file_name(dataset)
        result[f"few_shot_{name}"] = few_shot_figure(report, dataset)
        for method in ("linear_probe", "zero_shot"):
            shots = max((r.cell.shots for r in report.of(dataset, method)), default=0)
            figure = confusion_figure(report, dataset, method, shots)
            if figure is not None:
                result[f"confusion_{name}_{method}"] = figure
    return result


def save(made: dict[str, Figure], folder: Path) -> list[Path]:
    """Write each as PNG; the files' paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in made.items():
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=150)
        paths.append(path)
    return paths


def file_name(text: str) -> str:
    """A target's name as part of a file's: lower case, letters, digits and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "target"


def _style(method: str, listed: list[str]) -> tuple[str, str]:
    if method in _STYLES:
        return _STYLES[method]
    unknown = [name for name in listed if name not in _STYLES]
    return _OTHERS[unknown.index(method) % len(_OTHERS)]


def _bars(values: list[Estimate]) -> NDArray[np.float64] | None:
    """Lengths below and above the mean, (2, K); None where no interval is known."""
    if any(math.isnan(v.low) for v in values):
        return None
    return 100 * np.array([[max(v.mean - v.low, 0) for v in values], [max(v.high - v.mean, 0) for v in values]])
