"""The small curve beside a target's answer: the contenders of its sentence, over numbers of labels."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.reports.evaluation.answer import answers_of
from experiments.reports.evaluation.content import Report
from experiments.reports.evaluation.figures.style import short, style_of, tidy
from experiments.reports.evaluation.roles import EVENT_METRIC, METRIC
from experiments.reports.evaluation.titles import in_order, short_title, within
from experiments.statistics.results import Estimate

_SIZE = (4.4, 3.1)  # inches


def answer_figure(report: Report, dataset: str) -> Figure | None:
    """Draw score over shots for the contenders of a target's sentences; None without any score to draw."""
    answers = [answer for answer in answers_of(report) if answer.dataset == dataset]
    named = {name for answer in answers for name in answer.contenders}
    planned = next((answer.planned for answer in answers if answer.planned is not None), None)
    metric = METRIC if planned is None else planned.metric
    unit = "windows" if planned is None else planned.claim.shots_unit
    everyone = report.estimates(dataset, metric, unit)
    chosen = {name: everyone[name] for name in in_order(named) if name in everyone}
    if not chosen:
        return None
    figure = Figure(figsize=_SIZE, layout="constrained")
    axis = figure.subplots()
    factor = 1 if metric == EVENT_METRIC else 100
    shots = sorted({k for values in chosen.values() for k in values if k > 0})
    for name, values in chosen.items():
        _line(axis, name, values, shots, factor, list(everyone))
    if shots:
        axis.set_xscale("log", base=2)
        axis.set_xticks(shots, [str(k) for k in shots])
        axis.set_xticks([], minor=True)
        axis.set_xlabel("people labelled" if unit == "subjects" else "labelled windows an activity, k", fontsize=9)
    else:
        axis.set_xticks([])
        axis.set_xlabel("no method here uses labels", fontsize=9)
    axis.set_ylabel("AUROC" if metric == EVENT_METRIC else "balanced accuracy, %", fontsize=9)
    axis.set_ylim((0.4, 1.02) if metric == EVENT_METRIC else (0, 102))
    axis.tick_params(labelsize=8.5)
    tidy(axis)
    axis.set_title(f"{short(dataset, 40)}{report.flags(dataset)}", fontsize=9)
    axis.legend(fontsize=7.5, frameon=False, loc="lower right" if shots else "upper right")
    figure.set_label(
        f"Curves of {'AUROC' if metric == EVENT_METRIC else 'balanced accuracy'} over labels on {dataset}:"
        f" {'; '.join(short_title(name) for name in chosen)}."
    )
    return figure


def _line(axis: Axes, name: str, values: dict[int, Estimate], shots: list[int], factor: int, listed: list[str]) -> None:
    """Draw a contender with its interval; level if it needs no labels."""
    style = style_of(name, listed)
    look: dict[str, Any] = {"color": style.colour, "label": short_title(name), "linewidth": 1.8}
    ks = [k for k in shots if k in values]
    if not ks:
        axis.axhline(factor * values[0].mean, linestyle="--", **look)
        return
    axis.plot(
        ks, [factor * values[k].mean for k in ks], marker=style.marker, markersize=5, linestyle=style.line, **look
    )
    if not any(math.isnan(values[k].low) for k in ks):
        ends = [within(values[k]) for k in ks]
        lows, highs = [factor * low for low, _ in ends], [factor * high for _, high in ends]
        axis.fill_between(ks, lows, highs, color=style.colour, alpha=0.12, linewidth=0)
