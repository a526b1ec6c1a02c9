"""An evaluation in TensorBoard: a run per method, so that curves over k overlay."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure
from torch.utils.tensorboard import SummaryWriter

from experiments.reports.evaluation.content import Report
from experiments.reports.evaluation.figures import DPI
from experiments.reports.evaluation.markdown import markdown
from experiments.reports.evaluation.roles import METRIC
from experiments.reports.evaluation.titles import METRICS
from experiments.reports.shared.pictures import png_of
from lightning_modules.monitoring import hparams
from lightning_modules.monitoring.pictures import add_encoded

# Groups of tags. TensorBoard sorts by name, and what is below "training" and "validation" comes after them.
_GROUPS = {"windows": "with k labelled windows an activity", "subjects": "with k labelled people"}
_BOUNDS = ("lower end", "upper end")


def write_board(report: Report, made: Mapping[str, Figure], folder: Path) -> None:
    """Write tables, figures and curves; replaces what an earlier evaluation wrote.

    The step of a curve is k, the number of labelled windows per activity (or of labelled people), as the tags'
    group says; values are in %. The custom scalars have a chart for each target and metric, and one with intervals.

    Args:
        report: the evaluation.
        made: its figures, by name.
        folder: gets an event file for what is common, and a folder for each method.
    """
    for old in folder.rglob("events.out.tfevents.*"):
        old.unlink()
    with SummaryWriter(str(folder)) as writer:
        writer.add_text("evaluation/table", markdown(report))
        for name, figure in made.items():
            add_encoded(writer, f"with k labels, figures/{name}", png_of(figure, DPI), 0)
        writer.add_custom_scalars(_layout(report))
    contenders = list(dict.fromkeys(name for dataset in report.datasets() for name in report.contenders(dataset)))
    for contender in contenders:
        with SummaryWriter(str(folder / re.sub(r"[^\w@+.-]", "_", contender))) as writer:
            _write_curves(writer, report, contender)
            _write_row(writer, report, contender)


def tag(unit: str, metric: str, dataset: str, bound: str = "") -> str:
    """Name a curve; ``bound`` is one of the ends of its interval."""
    group = _GROUPS[unit] + (", 95 % intervals" if bound else "")
    return f"{group}/{METRICS[metric]} on {shown_name(dataset)}{f', {bound}' if bound else ''}"


def shown_name(dataset: str) -> str:
    """Write a target's name without brackets: TensorBoard's custom scalars draw no line of a tag that has some."""
    return dataset.replace(" (", ", ").translate(str.maketrans("", "", "()"))


def _write_curves(writer: SummaryWriter, report: Report, contender: str) -> None:
    for dataset in report.datasets():
        for unit in report.units(dataset):
            for metric in METRICS:
                for k, value in sorted(report.estimates(dataset, metric, unit).get(contender, {}).items()):
                    writer.add_scalar(tag(unit, metric, dataset), 100 * value.mean, k)
                    if metric != METRIC:
                        continue
                    for bound, at in zip(_BOUNDS, (value.low, value.high), strict=True):
                        if at == at:  # not a number where there are too few subjects
                            writer.add_scalar(tag(unit, metric, dataset, bound), 100 * at, k)


def _write_row(writer: SummaryWriter, report: Report, contender: str) -> None:
    """Write the method's row in the table of hyperparameters, with its accuracy at the most labels."""
    targets = report.datasets()[: hparams.TARGETS]
    row: dict[str, str | float] = {"run": report.title, "method": contender}
    row |= {f"target {number}": dataset for number, dataset in enumerate(targets, 1)}
    found: dict[int, float] = {}
    for number, dataset in enumerate(targets, 1):
        by_shots = report.estimates(dataset, "accuracy", "windows").get(contender, {})
        if by_shots:
            row["labels an activity"] = max(by_shots)
            found[number] = 100 * by_shots[max(by_shots)].mean
    hparams.begin(writer, row)
    for number, value in found.items():
        writer.add_scalar(f"with the most labels/accuracy on target {number}", value, 0)
    hparams.end(writer)


def _layout(report: Report) -> dict[str, dict[str, list[object]]]:
    """Lay out the custom scalars: a category for each target, a chart for each metric."""
    layout: dict[str, dict[str, list[object]]] = {}
    for dataset in report.datasets():
        for unit in report.units(dataset):
            charts = layout.setdefault(f"{shown_name(dataset)}: {_GROUPS[unit]}", {})
            for metric, title in METRICS.items():
                charts[f"{title}, %, over k"] = ["Multiline", [f"^{re.escape(tag(unit, metric, dataset))}$"]]
            ends = [tag(unit, METRIC, dataset, bound) for bound in _BOUNDS]
            chart = f"{METRICS[METRIC]}, %, over k, with 95 % intervals over people"
            charts[chart] = ["Margin", [tag(unit, METRIC, dataset), *ends]]
    return layout
