"""Forest plot: paired differences with their intervals."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.reports.evaluation.comparisons import Pair
from experiments.reports.evaluation.content import Report
from experiments.reports.evaluation.figures.style import style_of, tidy, titled, wrapped
from experiments.reports.evaluation.roles import recommended
from experiments.reports.evaluation.titles import headline_shots, shots_title

_GROUP = 1.5  # room for the heading of a group, in rows
_WIDTH = 32  # of a row's name, in characters


def forest_figure(report: Report, dataset: str) -> Figure | None:
    """Draw one panel for each recommended contender, rows grouped by number of shots; None without pairs.

    Panels show the fewest shots, the one nearest to 10, and the most.
    """
    panels = {first: _groups(report, dataset, first) for first in _firsts(report, dataset)}
    panels = {first: groups for first, groups in panels.items() if groups}
    if not panels:
        return None
    rows = max(sum(_GROUP + sum(map(_height, group)) for group in groups.values()) for groups in panels.values())
    figure = Figure(figsize=(1.0 + 5.2 * len(panels), 1.9 + 0.25 * rows), layout="constrained")
    # Each panel has its own names, because panels may compare different methods.
    for axis, (first, groups) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        _draw(axis, groups, report.contenders(dataset))
        axis.set_ylim(rows, -0.6)
        axis.set_title(f"{wrapped(first, 46)} minus ...", fontsize=10)
    shown = [pair for groups in panels.values() for group in groups.values() for pair in group]
    subjects = max(pair.difference.subjects for pair in shown)
    figure.suptitle(
        f"{titled(dataset, report.flags(dataset))}\npaired by subject ({subjects}), 95 % intervals, not corrected",
        fontsize=11,
    )
    figure.set_label(
        f"Forest plot of {len(shown)} paired differences in balanced accuracy on {dataset}, which were not planned and"
        " are not corrected for their number. The numbers are in the tables of paired differences."
    )
    return figure


def _height(pair: Pair) -> float:
    """Room for the name of a row, in rows of one line."""
    return 1 + 0.75 * wrapped(pair.second, _WIDTH).count("\n")


def _firsts(report: Report, dataset: str) -> list[str]:
    return recommended({pair.first for pair in report.pairs if pair.dataset == dataset})


def _groups(report: Report, dataset: str, first: str) -> dict[str, list[Pair]]:
    """Group pairs by heading."""
    own = [pair for pair in report.pairs if pair.dataset == dataset and pair.first == first]
    found: dict[str, list[Pair]] = {}
    for unit in report.units(dataset):
        there = [pair for pair in own if pair.unit == unit]
        ks = sorted({pair.shots for pair in there})
        for k in sorted({*ks[:1], *headline_shots(ks)}):
            found[shots_title(k, unit)] = [pair for pair in there if pair.shots == k]
    return found


def _draw(axis: Axes, groups: dict[str, list[Pair]], listed: list[str]) -> None:
    at, ticks, names = 0.0, [], []
    for heading, pairs in groups.items():
        ticks.append(at)
        names.append(heading)
        at += 1
        for pair in pairs:
            d = pair.difference
            style = style_of(pair.second, listed)
            error = None if math.isnan(d.low) else [[100 * max(d.mean - d.low, 0)], [100 * max(d.high - d.mean, 0)]]
            axis.errorbar(
                [100 * d.mean],
                [at],
                xerr=error,
                color=style.colour,
                marker="s",
                markersize=4.5,
                elinewidth=1.6,
                capsize=2.5,
            )
            ticks.append(at)
            names.append(wrapped(pair.second, _WIDTH))
            at += _height(pair)
        at += _GROUP - 1
    axis.axvline(0, color="0.3", linewidth=1)
    axis.set_yticks(ticks, names, fontsize=8.5)
    for label in axis.get_yticklabels():
        if label.get_text() in groups:
            label.set_fontweight("bold")
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel("points of balanced accuracy")
    tidy(axis, "x")
    axis.spines["left"].set_visible(False)
