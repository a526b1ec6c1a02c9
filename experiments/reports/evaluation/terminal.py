"""Tables of a report's scores for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from experiments.reports.evaluation.content import Report
from experiments.reports.evaluation.evidence import REFUSED
from experiments.reports.evaluation.titles import KNOWN_OF_THE_PERSON, METRICS, in_order, shots_title, within
from experiments.statistics.results import Estimate


def terminal_tables(report: Report, metrics: Sequence[str] = ("accuracy", "macro_f1")) -> list[Table]:
    """Make a table for each target, unit of shots and metric; the best value of a column is bold."""
    return [
        _table(report, dataset, unit, metric)
        for dataset in report.datasets()
        for unit in report.units(dataset)
        for metric in metrics
    ]


def _table(report: Report, dataset: str, unit: str, metric: str) -> Table:
    estimates = report.estimates(dataset, metric, unit)
    shots = sorted({k for values in estimates.values() for k in values})
    warnings = "".join(f"[bold red]{escape(line)}[/]\n" for line in report.warnings(dataset))
    has_intervals = any(not math.isnan(within(value)[0]) for values in estimates.values() for value in values.values())
    what = (
        "mean and 95 % interval over subjects" if has_intervals else "mean over subjects, who are too few for intervals"
    )
    table = Table(
        title=f"{warnings}{escape(dataset)}: {METRICS[metric]}, %",
        caption=f"{escape(report.caption(dataset))}; {what}",
    )
    table.add_column("method")
    known = report.knowledge(dataset)
    if known:
        table.add_column(KNOWN_OF_THE_PERSON)
    for k in shots:
        table.add_column(shots_title(k, unit), justify="right", no_wrap=True)
    best = {k: max(v[k].mean for v in estimates.values() if k in v) for k in shots}
    for contender, values in estimates.items():
        cells = []
        for k in shots:
            text = _two_lines(values[k]) if k in values else ""
            is_best = k > 0 and k in values and values[k].mean == best[k]
            cells.append(f"[bold]{text}[/]" if is_best else text)
        table.add_row(escape(report.evidence.title(dataset, contender)), *([known[contender]] if known else []), *cells)
    if unit == "windows":
        for contender in in_order(set(report.evidence.refused_rows(dataset)) - set(estimates)):
            ks = report.evidence.refused_rows(dataset)[contender]
            texts = [REFUSED if k in ks else "" for k in shots]
            table.add_row(escape(report.evidence.title(dataset, contender)), *([""] if known else []), *texts)
    return table


def _two_lines(value: Estimate) -> str:
    """Write a value on two lines, narrow enough for a terminal of 90 columns."""
    low, high = within(value)
    interval = "" if math.isnan(low) else f"\n{100 * low:.0f} to {100 * high:.0f}"
    return f"{100 * value.mean:.1f}{interval}"
