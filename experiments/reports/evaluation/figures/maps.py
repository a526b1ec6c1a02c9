"""Embedding maps: windows in the feature space, coloured by activity, subject and device."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from datamodules.labels.natural_order import natural_key
from experiments.evaluation.features.embedding_map import Grouping
from experiments.reports.evaluation.content import Report
from experiments.reports.evaluation.figures.style import short

# Okabe and Ito's colours, black last. After the last colour they repeat with another marker.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#B8A800", "#7F7F7F", "#000000")
_MARKERS = ("o", "^", "s", "v", "D", "P", "X")
_TITLES = {"activity": "by activity", "subject": "by subject", "device": "by device and placement"}
_PER_ROW = 3


def map_figure(report: Report, dataset: str) -> Figure | None:
    """Draw the same points three times; None if the report has no map of the target."""
    found = report.maps.get(dataset)
    if found is None:
        return None
    groups = {name: sorted(set(g.labels), key=natural_key) for name, g in found.groupings.items()}
    lines = max(_PER_ROW, -(-max(map(len, groups.values())) // _PER_ROW))
    figure = Figure(figsize=(4.7 * len(groups), 5.0 + 0.19 * lines), layout="constrained")
    axes = figure.subplots(1, len(groups), squeeze=False)[0]
    for axis, (name, labels) in zip(axes, groups.items(), strict=True):
        _panel(axis, found.points, found.groupings[name], labels, _TITLES.get(name, f"by {name}"))
    figure.suptitle(
        f"{short(dataset, 60)}{report.flags(dataset)}\n{len(found.points)} windows in the feature space of the"
        f" pretrained encoder, {found.layout}",
        fontsize=11,
    )
    shares = [f"{100 * g.agreement:.0f} % by {name}" for name, g in found.groupings.items()]
    figure.set_label(
        f"Three maps of {len(found.points)} windows of {dataset} in the feature space, coloured by activity, subject"
        f" and device. Nearest windows with the same label: {', '.join(shares)}."
    )
    return figure


def _panel(
    axis: Axes,
    points: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    grouping: Grouping,
    labels: list[str],
    title: str,
) -> None:
    named = np.array(grouping.labels)
    size = 9 if len(points) > 600 else 16
    columns = _PER_ROW if len(labels) > _PER_ROW else 1
    for i, label in enumerate(labels):
        own = points[named == label]
        axis.scatter(
            own[:, 0],
            own[:, 1],
            s=size,
            color=_COLOURS[i % len(_COLOURS)],
            marker=_MARKERS[i // len(_COLOURS) % len(_MARKERS)],
            alpha=0.75,
            linewidths=0,
            label=short(label, 20 if columns > 1 else 50),
        )
    alike = f"{100 * grouping.agreement:.0f} % of nearest windows alike (chance {100 * grouping.chance:.0f} %)"
    axis.set_title(f"{title}\n{alike if len(labels) > 1 else 'there is only one'}", fontsize=10)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_aspect("equal", adjustable="datalim")
    axis.spines[:].set_color("0.8")
    axis.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.02),
        ncols=columns,
        fontsize=7.5,
        frameon=False,
        markerscale=2 if size < 10 else 1.4,
        handletextpad=0.2,
        columnspacing=0.9,
    )
