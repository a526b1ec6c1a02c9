"""Forest plot: paired differences with their intervals."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.reports.evaluation.comparisons import Comparison, recommended
from experiments.reports.evaluation.content import Report
from experiments.reports.evaluation.figures.style import style_of, tidy, titled
from experiments.reports.evaluation.titles import headline_shots, method_title, shots_title

_GROUP = 1.5  # room for the heading of a group, in rows


def forest_figure(report: Report, dataset: str) -> Figure | None:
    """Draw one panel for each recommended contender, rows grouped by number of shots; None without comparisons.

    Panels show the fewest shots and the numbers of shots of the summaries. Filled markers stand for differences that
    were shown, hollow markers for others.
    """
    panels = {first: _groups(report, dataset, first) for first in _firsts(report, dataset)}
    panels = {first: groups for first, groups in panels.items() if groups}
    if not panels:
        return None
    rows = max(sum(len(group) + _GROUP for group in groups.values()) for groups in panels.values())
    figure = Figure(figsize=(2.6 + 4.0 * len(panels), 1.5 + 0.25 * rows), layout="constrained")
    # Each panel has its own names, because panels may compare different methods.
    for axis, (first, groups) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        _draw(axis, groups, report.contenders(dataset))
        axis.set_ylim(rows, -0.6)
        axis.set_title(f"{method_title(first)} minus ...", fontsize=10)
    subjects = max(c.claim.difference.subjects for groups in panels.values() for g in groups.values() for c in g)
    figure.suptitle(
        f"{titled(dataset, report.flags(dataset))}\npaired by subject ({subjects}), 95 % intervals;"
        " filled: shown after correction",
        fontsize=11,
    )
    shown = [c for groups in panels.values() for group in groups.values() for c in group]
    decided = sum(c.outcome in ("better", "worse") for c in shown)
    figure.set_label(
        f"Forest plot of {len(shown)} paired differences in balanced accuracy on {dataset}; {decided} of them were"
        " shown after correction. The numbers are in the tables of paired differences."
    )
    return figure


def _firsts(report: Report, dataset: str) -> list[str]:
    return recommended({c.first for c in report.comparisons if c.claim.dataset == dataset})


def _groups(report: Report, dataset: str, first: str) -> dict[str, list[Comparison]]:
    """Group comparisons by heading."""
    own = [c for c in report.comparisons if c.claim.dataset == dataset and c.first == first]
    found: dict[str, list[Comparison]] = {}
    for unit in report.units(dataset):
        there = [c for c in own if c.claim.shots_unit == unit]
        ks = sorted({c.claim.shots for c in there})
        for k in sorted({*ks[:1], *headline_shots(ks)}):
            found[shots_title(k, unit)] = [c for c in there if c.claim.shots == k]
    return found


def _draw(axis: Axes, groups: dict[str, list[Comparison]], listed: list[str]) -> None:
    at, ticks, names = 0.0, [], []
    for heading, comparisons in groups.items():
        ticks.append(at)
        names.append(heading)
        at += 1
        for comparison in comparisons:
            d = comparison.claim.difference
            style = style_of(comparison.second, listed)
            filled = comparison.outcome in ("better", "worse")
            error = None if math.isnan(d.low) else [[100 * max(d.mean - d.low, 0)], [100 * max(d.high - d.mean, 0)]]
            axis.errorbar(
                [100 * d.mean],
                [at],
                xerr=error,
                color=style.colour,
                marker="s",
                markersize=4.5,
                markerfacecolor=style.colour if filled else "white",
                elinewidth=1.6,
                capsize=2.5,
            )
            ticks.append(at)
            names.append(method_title(comparison.second))
            at += 1
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
