"""Tables of what makes numbers believable: the ledger, sizes of shift, transitions, and whole episodes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from experiments.evaluation.ledger import Entry, People
from experiments.evaluation.shifts import ALL_FOLDS, SUPPORT, ShiftRow
from experiments.reports.evaluation.content import Report
from experiments.reports.evaluation.titles import EPISODES, TRANSITIONS, Metric, shots_title, show
from experiments.reports.shared.table import Table
from experiments.statistics.groups import Key
from experiments.statistics.results import subject_means

# Contenders whose accuracy stands beside a shift, if they were evaluated; the first few.
BESIDE = ("handcrafted_logistic", "linear_probe", "hybrid_logistic", "transfer_logistic", "transfer_mean")
_MOST_NAMES = 8


def ledger_tables(report: Report, dataset: str) -> list[Table]:
    """Make the table of what each encoder has seen; a row is an encoder, over all folds."""
    by_encoder: dict[tuple[str, str, str], list[Entry]] = {}
    for each in report.evidence.ledger.of_target(dataset):
        by_encoder.setdefault(each.seen.key, []).append(each)
    rows = tuple(_ledger_row(entries, report.evidence.ledger.allowed) for entries in by_encoder.values())
    columns = (
        "trained on",
        "labels of",
        "settings chosen on",
        "tested people seen",
        "others of these sets seen",
        "tested people chosen on",
        "cells",
    )
    note = (
        "What a checkpoint or a card says. Cells that test people whom the encoder saw are refused. Others of the same"
        " sets may have been seen: they share device and laboratory with the tested people. The first row is about the"
        " settings of this evaluation, which all methods share."
    )
    return [Table("what each encoder has seen", "encoder", columns, rows, note)] if len(rows) > 1 or _told(rows) else []


def _told(rows: Sequence[tuple[str, ...]]) -> bool:
    return any(any(text not in ("", "nothing", "compared") for text in row[1:]) for row in rows)


def _ledger_row(entries: list[Entry], allowed: bool) -> tuple[str, ...]:
    seen = entries[0].seen
    titles = {
        "settings": "settings of the evaluation",
        "checkpoint": f"checkpoint {seen.encoder}".strip(),
        "external": f"external {seen.encoder}",
        "sources": "encoder from labels of the sources",
    }
    title = titles[seen.kind] + (f"; {seen.control}" if seen.control else "")
    refused = [each for each in entries if each.why]
    cells = "compared"
    if refused and allowed:
        cells = "seen, and allowed"
    elif refused:
        count = "all folds" if len(refused) == len(entries) else f"folds {', '.join(str(e.fold) for e in refused)}"
        cells = f"refused, {count}: {refused[0].why}"
    return (
        title,
        _people(seen.windows) if seen.known else "not said",
        seen.labels or "none",
        "not recorded" if seen.development is None else _people(seen.development),
        _names([name for each in entries for name in each.tested_seen]),
        _names([name for each in entries for name in each.others_seen]),
        _names([name for each in entries for name in each.chosen_on]),
        cells,
    )


def _people(people: People) -> str:
    """Write data sets with their numbers of people."""
    if not people:
        return "nothing"
    return "; ".join(f"{source} ({'all' if who is None else len(who)})" for source, who in sorted(people.items()))


def _names(names: Sequence[str]) -> str:
    found = list(dict.fromkeys(names))
    more = f" and {len(found) - _MOST_NAMES} more" if len(found) > _MOST_NAMES else ""
    return ", ".join(found[:_MOST_NAMES]) + more if found else "none"


def shift_tables(report: Report, dataset: str) -> list[Table]:
    """Make the table of sizes of shift, with the accuracy of main contenders on the same tested people."""
    shifts = [row for row in report.evidence.shifts if row.dataset == dataset]
    if not shifts:
        return []
    there = report.contenders(dataset)
    beside = [
        Key(name, "windows", ks[-1], "") for name in BESIDE if name in there and (ks := _shots(report, dataset, name))
    ]
    rows = tuple(
        (
            f"{_against(row)}{'' if row.fold == ALL_FOLDS else f', fold {row.fold}'}",
            "–" if math.isnan(row.shift.auc) else f"{row.shift.auc:.3f}",
            "–" if math.isnan(row.shift.mmd2) else f"{row.shift.mmd2:.4f}",
            f"{row.shift.people[0]} / {row.shift.people[1]}",
            *(_accuracy(report, dataset, key, row.fold) for key in beside),
        )
        for row in shifts
    )
    columns = (
        "two-sample AUC",
        "MMD²",
        "people",
        *(f"{_at(report, dataset, key)}, balanced accuracy, %" for key in beside),
    )
    note = (
        "On handcrafted features. AUC of a classifier that tells these windows from tested ones, on people whom it did"
        " not see: 0.5 where they are alike. MMD² is 0 on average where they are alike. Accuracy: mean over the tested"
        " people of that row."
    )
    return [Table(f"size of shift{report.flags(dataset)}", "tested windows against", columns, rows, note)]


def _against(row: ShiftRow) -> str:
    return "the people who give labels" if row.against == SUPPORT else f"data set {row.against}"


def _shots(report: Report, dataset: str, contender: str) -> list[int]:
    return report.shots(dataset, "windows", contender)


def _accuracy(report: Report, dataset: str, key: Key, fold: int) -> str:
    cells = [cell for cell in report.groups[dataset].get(key, []) if fold in (ALL_FOLDS, cell.cell.fold)]
    means = subject_means(cells, "balanced_accuracy")
    return f"{100 * float(np.mean(list(means.values()))):.1f}" if means else ""


def transition_tables(report: Report, dataset: str) -> list[Table]:
    """Make the table of windows with one activity against windows in which it changes, at the most labels."""
    note = (
        "At the most labels. A window has the label of its largest part. It is a transition if it shows two activities"
        " for longer than a sample each; all others are pure. Each number is the mean over the subjects who have such"
        " windows."
    )
    return _at_most_labels(report, dataset, TRANSITIONS, f"transitions apart{report.flags(dataset)}", note)


def episode_tables(report: Report, dataset: str, event: str) -> list[Table]:
    """Make the table of whole episodes of a rare event, at the most labels."""
    note = (
        "At the most labels. Bouts of the event are read off as `predict` reads them off a recording. An episode is"
        " found if a bout overlaps it; a bout that overlaps none is a false alarm. Onset: begin of the first bout in an"
        " episode against the true begin, in seconds; late is positive. Each number is the mean over the subjects that"
        " it is defined for."
    )
    return _at_most_labels(report, dataset, EPISODES, f"{event}: whole episodes{report.flags(dataset)}", note)


def _at(report: Report, dataset: str, key: Key) -> str:
    title = report.evidence.title(dataset, key.contender)
    return f"{title}, {shots_title(key.shots, key.unit)}" if key.shots else title


def _at_most_labels(report: Report, dataset: str, metrics: dict[str, Metric], title: str, note: str) -> list[Table]:
    found = []
    for contender in report.contenders(dataset):
        if shots := _shots(report, dataset, contender):
            key = Key(contender, "windows", shots[-1], "")
            values = [report.estimate(dataset, metric, key) for metric in metrics]
            if any(value is not None for value in values):
                texts = [
                    "" if value is None else show(value, how.percent, how.digits, how.share, how.signed)
                    for value, how in zip(values, metrics.values(), strict=True)
                ]
                found.append((_at(report, dataset, key), *texts))
    told = [i for i in range(len(metrics)) if any(row[i + 1] for row in found)]
    rows = tuple((row[0], *(row[i + 1] for i in told)) for row in found)
    columns = tuple(list(metrics.values())[i].title for i in told)
    return [Table(title, "method", columns, rows, note)] if rows else []
