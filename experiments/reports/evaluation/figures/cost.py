"""Figure of the costs of accuracy: labels, and seconds."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.reports.evaluation.content import Report
from experiments.reports.evaluation.figures.style import legend, lines_of, percent_limits, short, style_of, tidy
from experiments.statistics.costs import Cost, cost_of


def cost_figure(report: Report, dataset: str) -> Figure | None:
    """Draw balanced accuracy over labels and over seconds, one line per contender; None without results."""
    costs = _costs(report, dataset)
    if not costs:
        return None
    figure = Figure(figsize=(12.4, max(4.4, 0.21 * lines_of(costs) + 1)), layout="constrained")
    by_labels, by_seconds = figure.subplots(1, 2)
    handles: dict[str, Any] = {}
    for contender, found in costs.items():
        style = style_of(contender, list(costs))
        look = {"color": style.colour, "marker": style.marker, "markersize": 6, "linewidth": 1.6}
        labelled = [cost for cost in found if cost.labels > 0]
        accuracy = [100 * cost.accuracy for cost in labelled]
        if labelled:
            by_labels.plot([c.labels for c in labelled], accuracy, linestyle=style.line, **look)
        else:
            by_labels.axhline(100 * found[0].accuracy, color=style.colour, linestyle="--", linewidth=1.4)
        (handles[contender],) = by_seconds.plot(
            [max(c.seconds, 1e-4) for c in found], [100 * c.accuracy for c in found], linestyle=style.line, **look
        )
    by_labels.set_xlabel("labelled windows used (level lines: no labels)")
    by_seconds.set_xlabel("seconds to fit and test once, median")
    for axis in (by_labels, by_seconds):
        axis.set_xscale("log")
        _plain_ticks(axis)
        axis.set_ylabel("balanced accuracy, %")
        percent_limits(axis)
        tidy(axis)
    legend(figure, handles)
    figure.suptitle(f"{short(dataset, 60)}{report.flags(dataset)}\ncosts of accuracy: labels and time", fontsize=11)
    figure.set_label(
        f"Balanced accuracy of {len(costs)} methods on {dataset} over the labels that they used, and over the seconds"
        " that they took. The numbers are in the table of costs."
    )
    return figure


def _plain_ticks(axis: Axes) -> None:
    """Set ticks at 1, 2 and 5 times powers of ten, or only at powers if there are many, as plain numbers."""
    low, high = axis.get_xlim()
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if math.log10(high / low) < 2.5 else (1,)
    ticks = [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_xticks([], minor=True)
    axis.set_xlim(low, high)


def _costs(report: Report, dataset: str) -> dict[str, list[Cost]]:
    """Compute contender -> costs at each number of labelled windows."""
    found: dict[str, list[Cost]] = {}
    for contender, by_shots in report.estimates(dataset, "balanced_accuracy").items():
        for k in by_shots:
            cells = report.of(dataset, contender, k, "windows")
            everyone = {subject: 0.0 for r in cells for subject in r.by_subject}
            found.setdefault(contender, []).append(cost_of(cells, everyone))
    return found
