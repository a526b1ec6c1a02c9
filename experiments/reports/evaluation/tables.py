"""All tables of a report, as texts in cells; Markdown and HTML are made from them.

Shares are in %, differences of shares in percentage points; what is no share stays as it is, with its unit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from datamodules.labels.natural_order import natural_key
from experiments.evaluation.perturbations import KINDS
from experiments.reports.evaluation.comparisons import METRIC, RECOMMENDED
from experiments.reports.evaluation.content import Report, first_of
from experiments.reports.evaluation.robustness import clean_title, level_title, robustness_curves
from experiments.reports.evaluation.titles import EVENT, METRICS, RANKING, Metric, method_title, shots_title, show
from experiments.statistics.costs import chance_levels, cost_of
from experiments.statistics.groups import Key
from experiments.statistics.intervals import FEWEST, worst_third
from experiments.statistics.results import Estimate, draw_means, subject_means, subject_recalls, summed_up

# Whose recall of each activity is told, where they are there.
RECALLED = ("zero_shot", "handcrafted_rf", "supervised", "linear_probe", "finetune")


@dataclass(frozen=True)
class Table:
    """A table without any layout.

    Attributes:
        title: what its numbers are, with flags and unit.
        rows_are: what the first column names.
        columns: names of the others.
        rows: texts; empty where there is nothing.
        note: what has to be known to read it; may be empty.
    """

    title: str
    rows_are: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def score_tables(report: Report, dataset: str, unit: str) -> list[Table]:
    """A table for each metric: rows are contenders, columns numbers of shots; and the worst third of subjects."""
    tables = [
        _by_shots(report, dataset, metric, unit, f"{title}{report.flags(dataset)}, %", Metric(title))
        for metric, title in METRICS.items()
    ]
    tables.insert(3, _worst_third(report, dataset, unit))
    tables.insert(4, _by_draw(report, dataset, unit))
    return [table for table in tables if table.rows]


def _by_shots(report: Report, dataset: str, metric: str, unit: str, title: str, how: Metric) -> Table:
    table = report.estimates(dataset, metric, unit)
    texts = {
        contender: {k: show(value, how.percent, how.digits, how.share) for k, value in values.items()}
        for contender, values in table.items()
    }
    less = " Less is better." if metric == "calibration_error" else ""
    return _wide(title, unit, texts, (_fewer(report, dataset, table) + less).strip())


def _wide(title: str, unit: str, texts: Mapping[str, Mapping[int, str]], note: str = "") -> Table:
    shots = sorted({k for by_shots in texts.values() for k in by_shots})
    rows = tuple((method_title(e), *(by_shots.get(k, "") for k in shots)) for e, by_shots in texts.items())
    return Table(title, "method", tuple(shots_title(k, unit) for k in shots), rows, note)


def _fewer(report: Report, dataset: str, table: Mapping[str, Mapping[int, Estimate]]) -> str:
    """Says so where a metric isn't defined for everyone."""
    people = report.subjects(dataset)
    counts = sorted({value.subjects for by_shots in table.values() for value in by_shots.values()})
    if not counts or counts == [people]:
        return ""
    span = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"Over {span} of the {people} subjects: for the others it is not defined or was not done."


def _worst_third(report: Report, dataset: str, unit: str) -> Table:
    texts: dict[str, dict[int, str]] = {}
    for contender, by_shots in report.estimates(dataset, "balanced_accuracy", unit).items():
        for k in by_shots:
            cells = report.groups[dataset][Key(contender, unit if k else "windows", k, "")]
            means = np.array(list(subject_means(cells, "balanced_accuracy").values()))
            texts.setdefault(contender, {})[k] = f"{100 * worst_third(means):.1f}"
    count = math.ceil(report.subjects(dataset) / 3)
    title = f"balanced accuracy of the worst third of subjects{report.flags(dataset)}, %"
    whom = "The one subject" if count == 1 else f"The mean over the {count} subjects"
    note = f"{whom} whom a method suits least; not the same people for each number."
    return _wide(title, unit, texts, note)


def _by_draw(report: Report, dataset: str, unit: str) -> Table:
    """How much depends on which windows were labelled, where all subjects share that; else it is empty."""
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
        " the same draws, so that the intervals above, over subjects, do not hold this chance."
    )
    return _wide(title, unit, texts, note)


def difference_tables(report: Report, dataset: str, unit: str) -> list[Table]:
    """By how much the pretrained contenders beat the others, on draws that both did."""
    tables = []
    for first in RECOMMENDED:
        texts: dict[str, dict[int, str]] = {}
        own = [
            c for c in report.comparisons if (c.claim.dataset, c.claim.shots_unit, c.first) == (dataset, unit, first)
        ]
        for comparison in own:
            d = comparison.claim.difference
            text = f"{100 * d.mean:+.1f}"
            if not math.isnan(d.low):
                text += f" [{100 * d.low:+.1f}, {100 * d.high:+.1f}]"
            mark = "*" if comparison.outcome in ("better", "worse") else ""
            texts.setdefault(comparison.second, {})[comparison.claim.shots] = text + mark
        if own:
            m = own[0].claim.difference.comparisons
            title = f"{method_title(first)} minus ..., {METRICS['balanced_accuracy']}{report.flags(dataset)}, points"
            name = "Holm" if report.correction == "holm" else "Westfall and Young"
            note = (
                "Paired by subject, with 95 % intervals. * the interval leaves out 0 and the sign-flip test's"
                f" p is below 0.05 after {name}'s correction for all {m} comparisons of this report."
            )
            if any(c.claim.over_draws for c in own):
                note += (
                    " All subjects share the draws of labels: * needs the interval over draws, of which it takes"
                    f" {FEWEST}, to leave out 0 too."
                )
            tables.append(_wide(title, unit, texts, note))
    return tables


def ranking_tables(report: Report, dataset: str) -> list[Table]:
    """Recall@k and MRR of the methods that rank activities, with what a random order gives."""
    rows = []
    for key in _labelled_keys(report, dataset):
        cells = [r for r in report.groups[dataset][key] if "mrr" in r.metrics]
        if not cells:
            continue
        sizes = sorted({len(r.classes) for r in cells})
        pool = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
        for title, prefix in ((_at(report, key), ""), ("a random order", "chance_")):
            found = [report.estimate(dataset, prefix + metric, key) for metric in RANKING]
            texts = [_text(value, how, interval=not prefix) for value, how in zip(found, RANKING.values(), strict=True)]
            rows.append((title, pool, *texts))
    title = f"ranking of the activities{report.flags(dataset)}"
    columns = ("activities", *(how.title for how in RANKING.values()))
    return [Table(title, "method", columns, tuple(dict.fromkeys(rows)))] if rows else []


def event_tables(report: Report, dataset: str, event: str) -> list[Table]:
    """How well a rare event is found: the curves' areas by shots, everything at the most shots."""
    tables = [
        _by_shots(report, dataset, metric, "windows", f"{event}: {EVENT[metric].title}{report.flags(dataset)}", how)
        for metric, how in EVENT.items()
        if metric in ("auroc", "auprc")
    ]
    found: dict[Key, list[Estimate | None]] = {}
    for contender in report.contenders(dataset):
        shots = report.shots(dataset, "windows", contender)
        if not shots:
            continue
        key = Key(contender, "windows", shots[-1], "")
        values = [report.estimate(dataset, metric, key) for metric in EVENT]
        if any(value is not None for value in values):
            found[key] = values
    told = [i for i in range(len(EVENT)) if any(values[i] is not None for values in found.values())]
    shown = list(EVENT.values())
    rows = [(_at(report, key), *(_text(values[i], shown[i]) for i in told)) for key, values in found.items()]
    note = (
        "At the most labels. Every window that is taken for the event counts as a detection. Each number is the mean"
        " over the subjects for whom it is defined: sensitivity and areas need somebody to whom the event happened."
    )
    columns = tuple(shown[i].title for i in told)
    tables.append(Table(f"{event}: detection{report.flags(dataset)}", "method", columns, tuple(rows), note))
    return [table for table in tables if table.rows]


def recall_tables(report: Report, dataset: str) -> list[Table]:
    """Recall of each activity by the main contenders at their most shots."""
    everyone = report.contenders(dataset)
    main = [e for e in everyone if e.partition("@")[0] in RECALLED] or [e for e in everyone if e != "majority"]
    keys = [Key(e, "windows", shots[-1], "") for e in main if (shots := report.shots(dataset, "windows", e))]
    by_key = {key: subject_recalls(report.groups[dataset].get(key, [])) for key in keys}
    keys = [key for key in keys if by_key[key]]
    activities = sorted({name for found in by_key.values() for name in found}, key=natural_key)
    rows = []
    for activity in activities:
        counts = [len(by_key[key].get(activity, {})) for key in keys]
        texts = []
        for key in keys:
            means = by_key[key].get(activity)
            texts.append(show(summed_up(means, 1, report.resamples)) if means else "")
        rows.append((activity.replace("_", " "), f"{max(counts)}", *texts))
    if not rows:
        return []
    columns = ("subjects", *(_at(report, key) for key in keys))
    note = "The share of an activity's windows that are recognised; the mean over the subjects who did it."
    return [Table(f"recall by activity{report.flags(dataset)}, %", "activity", columns, tuple(rows), note)]


def robustness_tables(report: Report, dataset: str) -> list[Table]:
    """A table for each kind of perturbation: rows are contenders, columns its levels."""
    tables = []
    for kind, curves in robustness_curves(report, dataset).items():
        levels = sorted({level for curve in curves for level in curve.levels})
        rows = tuple(
            (
                _at(report, Key(curve.contender, curve.unit, curve.shots, "")),
                show(curve.clean),
                *(show(curve.levels[level]) if level in curve.levels else "" for level in levels),
            )
            for curve in curves
        )
        title = f"{KINDS[kind].title}, {METRICS['balanced_accuracy']}{report.flags(dataset)}, %"
        columns = (clean_title(kind), *(level_title(kind, level) for level in levels))
        note = f"Columns: {KINDS[kind].axis}. Fitted on windows as they are, tested on changed ones."
        tables.append(Table(title, "method", columns, rows, note))
    return tables


def cost_tables(report: Report, dataset: str) -> list[Table]:
    """Labels and seconds, and what a point of balanced accuracy above chance costs."""
    results = report.of(dataset)
    majority = report.of(dataset, "majority")
    chance = chance_levels(majority, results)
    # Where one activity is tested, nothing is above always answering it, and a majority has all or nothing.
    if len(report.tested(dataset)) == 1 or (chance and min(chance.values()) == 1):
        return []
    rows = []
    for key in _labelled_keys(report, dataset):
        cells = [r for r in report.groups[dataset][key] if "balanced_accuracy" in r.metrics]
        if key.contender == "majority" or not cells:
            continue
        cost = cost_of(cells, chance)
        rows.append(
            (
                method_title(key.contender),
                shots_title(key.shots, key.unit),
                f"{cost.labels:.0f}",
                f"{cost.subjects:.0f}",
                _seconds(cost.seconds),
                f"{100 * cost.accuracy:.1f}",
                f"{cost.gain:+.1f}",
                "–" if math.isnan(cost.labels_per_point) else f"{cost.labels_per_point:.1f}",
                "–" if math.isnan(cost.seconds_per_point) else _seconds(cost.seconds_per_point),
            )
        )
    columns = (
        "shots",
        "labels",
        "from people",
        "seconds",
        "balanced accuracy, %",
        "points above chance",
        "labels a point",
        "seconds a point",
    )
    base = "the majority's" if majority else "one over the number of activities"
    note = (
        f"Chance is {base}; – where nothing is above it. Seconds are the median over folds and draws of fitting and"
        " testing once, on the machine that ran it; pretraining, and features that many cells share, are not in them."
    )
    return [Table(f"cost{report.flags(dataset)}", "method", columns, tuple(rows), note)] if rows else []


def event_of(report: Report, dataset: str) -> str:
    """The target's rare event; empty if it has none."""
    return next((r.event for r in report.of(dataset) if r.event), "")


def confused(report: Report, dataset: str) -> list[tuple[str, int]]:
    """Contenders whose confusion matrices are shown, with their most shots."""
    chosen = first_of(report.contenders(dataset), ("linear_probe", "handcrafted_rf", "zero_shot"))
    found = [(e, shots[-1]) for e in chosen if (shots := report.shots(dataset, "windows", e))]
    return [(e, k) for e, k in found if any(r.confusion_by_subject for r in report.of(dataset, e, k, "windows"))]


def _labelled_keys(report: Report, dataset: str) -> list[Key]:
    """On windows as they are: contenders in the tables' order, by unit and number of shots."""
    order = {contender: i for i, contender in enumerate(report.contenders(dataset))}
    keys = [key for key in report.groups[dataset] if key.perturbation == ""]
    return sorted(keys, key=lambda key: (order[key.contender], key.unit != "windows", key.shots))


def _at(report: Report, key: Key) -> str:
    return (
        f"{method_title(key.contender)}, {shots_title(key.shots, key.unit)}"
        if key.shots
        else method_title(key.contender)
    )


def _text(value: Estimate | None, how: Metric, interval: bool = True) -> str:
    if value is None:
        return ""
    if not interval:
        value = Estimate(value.mean, math.nan, math.nan, value.subjects, value.draws)
    return show(value, how.percent, how.digits, how.share)


def _seconds(value: float) -> str:
    return f"{value:.1f}" if value >= 10 else f"{value:.2g}" if value >= 0.001 else f"{value:.1g}"
