"""Tables over numbers of labels: scores by contender and shots, worst third, draws, and differences.

Shares are in %, differences of shares in percentage points. Other metrics keep their unit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from experiments.reports.evaluation.content import Report
from experiments.reports.evaluation.evidence import REFUSED
from experiments.reports.evaluation.roles import METRIC, recommended
from experiments.reports.evaluation.titles import (
    KNOWN_OF_THE_PERSON,
    METRICS,
    Metric,
    in_order,
    method_title,
    shots_title,
    show,
)
from experiments.reports.shared.table import Table
from experiments.statistics.groups import Key
from experiments.statistics.intervals import worst_third
from experiments.statistics.results import Estimate, draw_means, subject_means


def score_tables(report: Report, dataset: str, unit: str) -> list[Table]:
    """Make a table per metric (rows: contenders, columns: shots), and those of the worst third and of draws."""
    tables = [
        by_shots(report, dataset, metric, unit, f"{title}{report.flags(dataset)}, %", Metric(title))
        for metric, title in METRICS.items()
    ]
    tables.insert(3, _worst_third(report, dataset, unit))
    tables.insert(4, _by_draw(report, dataset, unit))
    return [table for table in tables if table.rows]


def by_shots(report: Report, dataset: str, metric: str, unit: str, title: str, how: Metric) -> Table:
    """Make the table of one metric: rows are contenders, columns are shots."""
    table = report.estimates(dataset, metric, unit)
    texts = {
        contender: {k: show(value, how.percent, how.digits, how.share) for k, value in values.items()}
        for contender, values in table.items()
    }
    less = " Less is better." if metric == "calibration_error" else ""
    return _wide(report, dataset, title, unit, texts, (_fewer(report, dataset, table) + less).strip())


def _wide(
    report: Report,
    dataset: str,
    title: str,
    unit: str,
    texts: Mapping[str, Mapping[int, str]],
    note: str = "",
    scores: bool = True,
) -> Table:
    """Make a table over shots; where methods differ in what they know of the tested people, a column says it.

    A table of scores has a row for each contender whose cells were all refused.
    """
    shots = sorted({k for by_shots in texts.values() for k in by_shots})
    known, evidence = report.knowledge(dataset), report.evidence
    whole = {} if not texts or not scores or unit == "subjects" else evidence.refused_rows(dataset)
    refused = {e: dict.fromkeys(ks, REFUSED) for e, ks in whole.items() if e not in report.contenders(dataset)}
    shots = sorted({*shots, *(k for by_shots in refused.values() for k in by_shots)})
    everyone = {**texts, **refused}
    rows = tuple(
        (
            evidence.title(dataset, e),
            *([known.get(e, "")] if known else []),
            *(everyone[e].get(k, "") for k in shots),
        )
        for e in (in_order(everyone) if refused else texts)
    )
    columns = tuple(shots_title(k, unit) for k in shots)
    return Table(title, "method", (KNOWN_OF_THE_PERSON, *columns) if known else columns, rows, note)


def _fewer(report: Report, dataset: str, table: Mapping[str, Mapping[int, Estimate]]) -> str:
    """Note that a metric isn't defined for all subjects, if so."""
    tested = report.subjects(dataset)
    counts = sorted({value.subjects for by_shots in table.values() for value in by_shots.values()})
    if not counts or counts == [tested]:
        return ""
    span = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"Over {span} of the {tested} subjects; the metric is not defined, or was not measured, for the others."


def _worst_third(report: Report, dataset: str, unit: str) -> Table:
    texts: dict[str, dict[int, str]] = {}
    for contender, by_shots in report.estimates(dataset, "balanced_accuracy", unit).items():
        for k in by_shots:
            cells = report.groups[dataset][Key(contender, unit if k else "windows", k, "")]
            means = np.array(list(subject_means(cells, "balanced_accuracy").values()))
            texts.setdefault(contender, {})[k] = f"{100 * worst_third(means):.1f}"
    count = math.ceil(report.subjects(dataset) / 3)
    title = f"balanced accuracy of the worst third of subjects{report.flags(dataset)}, %"
    lowest = "The subject" if count == 1 else f"The mean over the {count} subjects"
    note = f"{lowest} with the lowest scores of each method; these subjects differ between numbers."
    return _wide(report, dataset, title, unit, texts, note)


def _by_draw(report: Report, dataset: str, unit: str) -> Table:
    """Make the table of the lowest and highest draw, if all subjects share the draws; otherwise an empty table."""
    texts: dict[str, dict[int, str]] = {}
    if report.folds(dataset) == 1:
        for contender, by_shots in report.estimates(dataset, "balanced_accuracy", unit).items():
            for k in by_shots:
                means = draw_means(report.groups[dataset][Key(contender, unit if k else "windows", k, "")], METRIC)
                if len(means) > 1:
                    texts.setdefault(contender, {})[k] = (
                        f"{100 * min(means.values()):.1f} to {100 * max(means.values()):.1f}"
                    )
    title = f"balanced accuracy from draw to draw{report.flags(dataset)}, %"
    note = (
        "The mean over subjects with the least and the most lucky draw of labels. All subjects are tested with"
        " the same draws. The intervals over subjects above do not contain the chance of these draws."
    )
    return _wide(report, dataset, title, unit, texts, note)


def difference_tables(report: Report, dataset: str, unit: str) -> list[Table]:
    """Make a table of differences for each recommended contender, on the draws that both contenders have."""
    tables = []
    own = [pair for pair in report.pairs if (pair.dataset, pair.unit) == (dataset, unit)]
    for first in recommended({pair.first for pair in own}):
        texts: dict[str, dict[int, str]] = {}
        for pair in own:
            if pair.first == first:
                d = pair.difference
                interval = "" if math.isnan(d.low) else f" [{100 * d.low:+.1f}, {100 * d.high:+.1f}]"
                texts.setdefault(pair.second, {})[pair.shots] = f"{100 * d.mean:+.1f}{interval}"
        title = f"{method_title(first)} minus ..., {METRICS[METRIC]}{report.flags(dataset)}, points"
        note = (
            "Paired by subject, with 95 % intervals. These differences were not planned: they are not corrected for"
            " their number, and decide nothing. The planned comparisons are at the top of the report."
        )
        if report.folds(dataset) == 1:
            note += " All subjects share the draws of labels, whose chance is not in the intervals."
        tables.append(_wide(report, dataset, title, unit, texts, note, scores=False))
    return tables
