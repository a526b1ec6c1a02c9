"""Tables of one question each: rankings, rare events, each activity's recall, robustness, costs.

Shares are in %. Other metrics keep their unit.
"""

from __future__ import annotations

import math

from datamodules.labels.natural_order import natural_key
from experiments.evaluation.perturbations import KINDS, LABEL_NOISE
from experiments.reports.evaluation.content import Report, first_of
from experiments.reports.evaluation.robustness import clean_title, level_title, robustness_curves
from experiments.reports.evaluation.score_tables import by_shots
from experiments.reports.evaluation.titles import EVENT, METRICS, RANKING, Metric, method_title, shots_title, show
from experiments.reports.shared.table import Table
from experiments.statistics.costs import chance_levels, cost_of
from experiments.statistics.groups import Key
from experiments.statistics.results import Estimate, subject_recalls, summed_up

# Methods whose recall of each activity is shown, if they were evaluated.
RECALLED = ("zero_shot", "handcrafted_rf", "supervised", "linear_probe", "finetune")


def ranking_tables(report: Report, dataset: str) -> list[Table]:
    """Make the table of recall@k and MRR of methods that rank activities, with the values of a random order."""
    rows = []
    for key in _labelled_keys(report, dataset):
        cells = [r for r in report.groups[dataset][key] if "mrr" in r.metrics]
        if not cells:
            continue
        counts = sorted({len(r.classes) for r in cells})
        pool = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        for title, prefix in ((_at(report, key), ""), ("a random order", "chance_")):
            found = [report.estimate(dataset, prefix + metric, key) for metric in RANKING]
            texts = [_text(value, how, interval=not prefix) for value, how in zip(found, RANKING.values(), strict=True)]
            rows.append((title, pool, *texts))
    title = f"ranking of the activities{report.flags(dataset)}"
    columns = ("activities", *(how.title for how in RANKING.values()))
    return [Table(title, "method", columns, tuple(dict.fromkeys(rows)))] if rows else []


def event_tables(report: Report, dataset: str, event: str) -> list[Table]:
    """Make tables of a rare event: areas under the curves by shots, and all metrics at the most shots."""
    tables = [
        by_shots(report, dataset, metric, "windows", f"{event}: {EVENT[metric].title}{report.flags(dataset)}", how)
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
        "At the most labels. Every window that is predicted as the event counts as a detection. Each number is the mean"
        " over the subjects that it is defined for: sensitivity and areas need subjects with the event."
    )
    columns = tuple(shown[i].title for i in told)
    tables.append(Table(f"{event}: detection{report.flags(dataset)}", "method", columns, tuple(rows), note))
    return [table for table in tables if table.rows]


def recall_tables(report: Report, dataset: str) -> list[Table]:
    """Make the table of each activity's recall, by the main contenders at their most shots."""
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
    note = "The recognised share of an activity's windows; the mean over the subjects who did the activity."
    return [Table(f"recall by activity{report.flags(dataset)}, %", "activity", columns, tuple(rows), note)]


def robustness_tables(report: Report, dataset: str) -> list[Table]:
    """Make a table for each kind of perturbation: rows are contenders, columns are levels."""
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
        note = f"Columns: {KINDS[kind].axis}. Methods are fitted on windows as they are, and tested on changed windows."
        if kind == LABEL_NOISE:
            note = f"Columns: {KINDS[kind].axis}. Tested windows keep their labels."
        tables.append(Table(title, "method", columns, rows, note))
    return tables


def cost_tables(report: Report, dataset: str) -> list[Table]:
    """Make the table of labels and seconds, in all and per point of balanced accuracy above chance."""
    results = report.of(dataset)
    majority = report.of(dataset, "majority")
    chance = chance_levels(majority, results)
    # With a single tested activity, always answering it is perfect, and no method can be above chance.
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
        "from subjects",
        "seconds",
        "balanced accuracy, %",
        "points above chance",
        "labels per point",
        "seconds per point",
    )
    base = "the majority's" if majority else "one over the number of activities"
    note = (
        f"Chance is {base}; – stands for scores that are not above chance. Seconds are for one fit and test, the median"
        " over folds and draws, on the machine of this evaluation. They do not contain pretraining, or features and"
        " fits that many cells share."
    )
    return [Table(f"cost{report.flags(dataset)}", "method", columns, tuple(rows), note)] if rows else []


def event_of(report: Report, dataset: str) -> str:
    """Look up the target's rare event; empty if it has none."""
    return next((r.event for r in report.of(dataset) if r.event), "")


def confused(report: Report, dataset: str) -> list[tuple[str, int]]:
    """Choose the contenders whose confusion matrices are shown, with their most shots."""
    chosen = first_of(report.contenders(dataset), ("linear_probe", "handcrafted_rf", "zero_shot"))
    found = [(e, shots[-1]) for e in chosen if (shots := report.shots(dataset, "windows", e))]
    return [(e, k) for e, k in found if any(r.confusion_by_subject for r in report.of(dataset, e, k, "windows"))]


def _labelled_keys(report: Report, dataset: str) -> list[Key]:
    """List groups without perturbation: contenders in the order of the tables, then units and numbers of shots."""
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
