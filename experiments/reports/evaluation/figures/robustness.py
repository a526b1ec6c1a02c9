"""Robustness curves: scores on changed windows."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.evaluation.perturbations import KINDS, LABEL_NOISE, PLACEMENT
from experiments.reports.evaluation.content import Report
from experiments.reports.evaluation.figures.style import bars, legend, percent_limits, short, style_of, tidy
from experiments.reports.evaluation.robustness import Curve, Level, clean_title, level_title, robustness_curves
from experiments.reports.evaluation.titles import shots_title
from experiments.statistics.results import Estimate

_COLUMNS = 3


def robustness_figure(report: Report, dataset: str) -> Figure | None:
    """Draw a panel for each kind of perturbation, one line per contender; None without perturbations."""
    kinds = robustness_curves(report, dataset)
    if not kinds:
        return None
    columns = min(len(kinds), _COLUMNS)
    rows = -(-len(kinds) // columns)
    figure = Figure(figsize=(3.6 * columns + 3.2, 3.5 * rows + 0.7), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    handles: dict[str, Any] = {}
    for axis, (kind, curves) in zip(axes, kinds.items(), strict=False):
        handles = {**_draw(axis, kind, curves, report.contenders(dataset)), **handles}
        axis.set_title(KINDS[kind].title, fontsize=10)
        axis.set_ylabel("balanced accuracy, %")
        percent_limits(axis)
        tidy(axis)
    for axis in axes[len(kinds) :]:
        axis.set_visible(False)
    legend(figure, handles)
    shots = sorted({shots_title(c.shots, c.unit) for curves in kinds.values() for c in curves if c.shots})
    noise = ", with wrong labels the other way round\n" if LABEL_NOISE in kinds else ""
    figure.suptitle(
        f"{short(dataset, 60)}{report.flags(dataset)}\nfitted on clean windows, tested on changed ones"
        f"{noise}"
        f"{' (' + ', '.join(shots) + ')' if shots else ''}; mean and 95 % interval",
        fontsize=11,
    )
    figure.set_label(
        f"Balanced accuracy of {len(handles)} methods on {dataset} under changes of the tested windows:"
        f" {', '.join(KINDS[kind].title for kind in kinds)}. The numbers are in the tables of robustness."
    )
    return figure


def _draw(axis: Axes, kind: str, curves: list[Curve], listed: list[str]) -> dict[str, Any]:
    levels: list[Level] = sorted({level for curve in curves for level in curve.levels})
    # Angles are drawn to scale. Other levels grow by factors, or are names: these stand side by side, with the clean
    # level at one end.
    last = KINDS[kind].clean is None and kind != PLACEMENT
    titles = [level_title(kind, level) for level in levels]
    places: dict[Level, float]
    if kind == "rotation":
        places = {level: float(level) for level in levels}
        clean_at = 0.0
    else:
        places = {level: float(i + (not last)) for i, level in enumerate(levels)}
        clean_at = float(len(levels)) if last else 0.0
    step = 0.012 * (max(*places.values(), clean_at) - min(*places.values(), clean_at))
    handles: dict[str, Any] = {}
    for i, curve in enumerate(curves):
        points: list[tuple[float, Estimate]] = [(places[level], value) for level, value in curve.levels.items()]
        points = sorted([*points, (clean_at, curve.clean)], key=lambda point: point[0])
        style = style_of(curve.contender, listed)
        aside = step * (i - (len(curves) - 1) / 2)
        handles[curve.contender] = axis.errorbar(
            [x + aside for x, _ in points],
            [100 * value.mean for _, value in points],
            yerr=bars([value for _, value in points]),
            color=style.colour,
            marker=style.marker,
            linestyle=style.line,
            markersize=5,
            linewidth=1.6,
            elinewidth=0.9,
            capsize=2,
        )
        if kind == PLACEMENT:
            handles[curve.contender].lines[0].set_linestyle("none")  # there is nothing between two places on the body
    axis.axvspan(clean_at - 4 * step, clean_at + 4 * step, color="0.92", zorder=0)
    shown = [(clean_at, clean_title(kind)), *zip(places.values(), titles, strict=True)]
    axis.set_xticks([x for x, _ in shown], [text for _, text in shown], fontsize=8.5)
    axis.set_xlabel(_wrapped(KINDS[kind].axis), fontsize=9)
    return handles


def _wrapped(text: str) -> str:
    """Break the title of an axis into lines that fit below a panel."""
    first, bracket, rest = text.removesuffix(" (0: missing)").partition(" (")  # the ticks say this too
    parts = first.split(", ", 1) if len(first) > 44 else [first]
    return ",\n".join(parts) + (f"\n({rest}" if bracket else "")
