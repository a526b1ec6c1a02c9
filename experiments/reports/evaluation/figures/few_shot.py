"""Few-shot curves: scores over numbers of labels, with intervals over subjects."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.reports.evaluation.content import Report
from experiments.reports.evaluation.figures.style import bars, legend, lines_of, percent_limits, short, style_of, tidy
from experiments.reports.evaluation.titles import METRICS, method_title
from experiments.statistics.intervals import FEWEST
from experiments.statistics.results import Estimate


def few_shot_figure(
    report: Report,
    dataset: str,
    metrics: tuple[str, ...] = ("balanced_accuracy", "macro_f1"),
    unit: str = "windows",
) -> Figure:
    """Draw metrics over shots, one line per contender; methods without labels are level lines.

    The legend lists contenders from best to worst at the most shots of the first metric.
    """
    first = report.estimates(dataset, metrics[0], unit)
    ranked = sorted(first, key=lambda contender: first[contender][max(first[contender])].mean, reverse=True)
    figure = Figure(figsize=(4.6 * len(metrics) + 3.2, max(4.4, 0.21 * lines_of(ranked) + 1)), layout="constrained")
    axes = figure.subplots(1, len(metrics), squeeze=False)[0]
    handles: dict[str, Any] = {}
    for axis, metric in zip(axes, metrics, strict=True):
        table = report.estimates(dataset, metric, unit)
        handles = {**_curves(axis, table, unit), **handles}
        percent_limits(axis)
        axis.set(ylabel=f"{METRICS[metric]}, %")
        tidy(axis)
    legend(figure, handles, ranked)
    subjects = report.subjects(dataset)
    spread = "mean" if subjects < FEWEST else "mean and 95 % interval"
    figure.suptitle(f"{short(dataset, 60)}{report.flags(dataset)}\n{spread} over {subjects} subjects", fontsize=11)
    what = "labelled subjects" if unit == "subjects" else "labelled windows per class"
    best = f" Best at the most labels: {method_title(ranked[0])}." if ranked else ""
    names = " and ".join(METRICS[metric] for metric in metrics)
    figure.set_label(f"Curves of {names} over {what} for {len(ranked)} methods on {dataset}.{best}")
    return figure


def _curves(axis: Axes, table: dict[str, dict[int, Estimate]], unit: str) -> dict[str, Any]:
    """Draw all contenders of one metric, and return the legend's handle of each."""
    handles: dict[str, Any] = {}
    shots = sorted({k for values in table.values() for k in values if k > 0})
    curves = [contender for contender, values in table.items() if any(k > 0 for k in values)]
    # Points stand side by side, so that intervals do not overlap, but nearer to their own tick than to the next.
    nearest = min((math.log(b / a) for a, b in pairwise(shots)), default=1.0)
    step = min(0.04, 0.6 * nearest / max(len(curves), 1))
    for contender, values in table.items():
        style = style_of(contender, list(table))
        if contender not in curves:
            value = values[0]
            dashes = "--" if style.line == "-" else style.line
            handles[contender] = axis.axhline(100 * value.mean, color=style.colour, linestyle=dashes, linewidth=1.6)
            if not math.isnan(value.low):
                axis.axhspan(100 * value.low, 100 * value.high, color=style.colour, alpha=0.1, linewidth=0)
            continue
        ks = [k for k in shots if k in values]
        aside = step * (curves.index(contender) - (len(curves) - 1) / 2)
        handles[contender] = axis.errorbar(
            [k * math.exp(aside) for k in ks],
            [100 * values[k].mean for k in ks],
            yerr=bars([values[k] for k in ks]),
            color=style.colour,
            marker=style.marker,
            linestyle=style.line,
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
        axis.set_xlabel(
            "subjects whose windows are all labelled" if unit == "subjects" else "labelled windows per class, k"
        )
    else:
        axis.set_xticks([])
        axis.set_xlabel("no method here uses labels")
    return handles
