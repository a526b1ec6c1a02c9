"""The parts of a report on one target, in the order in which they are read."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.reports.evaluation.content import Report
from experiments.reports.evaluation.tables import (
    Table,
    cost_tables,
    difference_tables,
    event_of,
    event_tables,
    ranking_tables,
    recall_tables,
    robustness_tables,
    score_tables,
)


@dataclass(frozen=True)
class Section:
    """A part of a report on one target.

    Attributes:
        kind: what it is about, also that of its figures; see ``experiments.reports.evaluation.figures.names``.
        title: as a heading.
        text: before its figures and tables; may be empty.
        tables: may be empty.
    """

    kind: str
    title: str
    text: str
    tables: list[Table]


def sections_of(report: Report, dataset: str) -> list[Section]:
    """All parts that can have something to show."""
    event = event_of(report, dataset)
    found = []
    for unit in report.units(dataset):
        people = unit == "subjects"
        found.append(
            Section(
                "few_shot_subjects" if people else "few_shot",
                "Whole people labelled" if people else "Few labels",
                "All windows of so many people are labelled." if people else "k is windows per activity.",
                score_tables(report, dataset, unit),
            )
        )
    differences = [table for unit in report.units(dataset) for table in difference_tables(report, dataset, unit)]
    found += [
        Section("forest", "Paired differences", "", differences),
        Section("ranking", "Ranking", "", ranking_tables(report, dataset)),
        Section("event", f"Rare event: {event}", "", event_tables(report, dataset, event) if event else []),
        Section("confusion", "Activities", "", recall_tables(report, dataset)),
        Section("robustness", "Robustness", "", robustness_tables(report, dataset)),
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
        f"{shown} windows in the encoder's feature space, laid out by {found.layout}. How many of a window's 10 nearest"
        f" windows share its label: {', '.join(parts)}. Neighbours in time are often near in every one of these."
    )
