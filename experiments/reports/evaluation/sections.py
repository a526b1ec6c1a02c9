"""Sections of a report on one target, in the order of reading."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.reports.evaluation.content import Report
from experiments.reports.evaluation.detail_tables import (
    cost_tables,
    event_of,
    event_tables,
    ranking_tables,
    recall_tables,
    robustness_tables,
)
from experiments.reports.evaluation.evidence_tables import (
    episode_tables,
    ledger_tables,
    shift_tables,
    transition_tables,
)
from experiments.reports.evaluation.score_tables import difference_tables, score_tables
from experiments.reports.shared.table import Table


@dataclass(frozen=True)
class Section:
    """A section of a report on one target.

    Attributes:
        kind: kind of the section and of its figures; see ``experiments.reports.evaluation.figures.names``.
        title: heading.
        text: text before figures and tables; may be empty.
        tables: tables; may be empty.
    """

    kind: str
    title: str
    text: str
    tables: list[Table]


def sections_of(report: Report, dataset: str) -> list[Section]:
    """Make all sections that have a table or a text."""
    event = event_of(report, dataset)
    found = []
    for unit in report.units(dataset):
        by_subject = unit == "subjects"
        found.append(
            Section(
                "few_shot_subjects" if by_subject else "few_shot",
                "Whole subjects labelled" if by_subject else "Few labels",
                "All windows of so many subjects are labelled."
                if by_subject
                else "k is the number of labelled windows per activity.",
                score_tables(report, dataset, unit),
            )
        )
    differences = [table for unit in report.units(dataset) for table in difference_tables(report, dataset, unit)]
    found += [
        Section("forest", "Paired differences", "", differences),
        Section("ranking", "Ranking", "", ranking_tables(report, dataset)),
        Section("event", f"Rare event: {event}", "", event_tables(report, dataset, event) if event else []),
        Section("episodes", f"Episodes: {event}", "", episode_tables(report, dataset, event) if event else []),
        Section("transitions", "Transitions", "", transition_tables(report, dataset)),
        Section("confusion", "Activities", "", recall_tables(report, dataset)),
        Section("robustness", "Robustness", "", robustness_tables(report, dataset)),
        Section("shift", "Size of shift", "", shift_tables(report, dataset)),
        Section("ledger", "Who saw whom", "", ledger_tables(report, dataset)),
        Section("cost", "Cost", "", cost_tables(report, dataset)),
        Section("map", "Feature space", _map_text(report, dataset), []),
    ]
    return [section for section in found if section.tables or section.text]


def _map_text(report: Report, dataset: str) -> str:
    found = report.maps.get(dataset)
    if found is None:
        return ""
    parts = [
        f"{name} {100 * g.agreement:.0f} % (by chance {100 * g.chance:.0f} %)" for name, g in found.groupings.items()
    ]
    shown = f"{len(found.points)} of {found.windows}" if found.windows > len(found.points) else f"{found.windows}"
    return (
        f"{shown} windows in the encoder's feature space, laid out by {found.layout}. Share of a window's 10 nearest"
        f" windows with the same label: {', '.join(parts)}. Windows that are neighbours in time often share all labels."
    )
