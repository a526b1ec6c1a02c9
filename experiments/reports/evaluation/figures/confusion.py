"""Confusion matrices.

Shape legend: C activities.
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from datamodules.labels.natural_order import natural_key
from experiments.reports.evaluation.content import Report
from experiments.reports.evaluation.figures.style import short, titled
from experiments.reports.evaluation.titles import method_title

_LARGE = 12  # with more activities, cells are smaller, and small shares get no number


def confusion_figure(report: Report, dataset: str, contender: str, shots: int) -> Figure | None:
    """Draw the predictions for each true activity, over all folds, draws and subjects; None without cells."""
    results = [r for r in report.of(dataset, contender, shots, "windows") if r.confusion_by_subject]
    if not results:
        return None
    classes = sorted({name for r in results for name in r.classes}, key=natural_key)
    position = {name: i for i, name in enumerate(classes)}
    counts = np.zeros((len(classes), len(classes)))
    for result in results:
        at = [position[name] for name in result.classes]
        counts[np.ix_(at, at)] += result.confusion
    at_shots = f", k = {shots}" if shots else ""
    title = f"{titled(dataset, report.flags(dataset))}\n{method_title(contender)}{at_shots}"
    figure = _matrix(counts, classes, title)
    figure.set_label(_description(counts, classes, f"{method_title(contender)}{at_shots} on {dataset}"))
    return figure


def _matrix(counts: NDArray[np.float64], classes: list[str], title: str) -> Figure:
    n = len(classes)
    share = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    large = n > _LARGE
    side = 2.6 + max((0.28 if large else 0.44) * n, 2.4)
    figure = Figure(figsize=(side + 0.9, side + 0.3), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(share, vmin=0, vmax=100, cmap="Blues")
    names = [short(name) for name in classes]
    size = 7.5 if large else 9
    upright = n > 4 or max(map(len, names)) > 9
    axes.set_xticks(range(n), names, rotation=90 if upright else 0, fontsize=size)
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


def _description(counts: NDArray[np.float64], classes: list[str], what: str) -> str:
    """Describe the matrix in words: the share of right windows, and the most frequent mistake."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    told = f"Confusion matrix of {len(classes)} activities: {what}."
    if not wrong.any():
        return f"{told} No window was mistaken."
    i, j = np.unravel_index(int(wrong.argmax()), wrong.shape)
    right = 100 * counts.trace() / counts.sum()
    worst = f"the most frequent mistake is {classes[i]} recognised as {classes[j]}"
    return f"{told} {right:.0f} % of the windows are right; {worst}."
