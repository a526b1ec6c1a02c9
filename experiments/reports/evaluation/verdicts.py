"""Verdicts on a target: its planned comparisons, and those between systems."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.reports.evaluation.comparisons import Comparison, Planned
from experiments.reports.evaluation.content import Report


@dataclass(frozen=True)
class Verdicts:
    """Verdicts on one target.

    Attributes:
        dataset: name of the target.
        planned: comparisons of each pretrained contender with the best baseline, at each number of shots.
        systems: comparisons of the first system with each other one.
    """

    dataset: str
    planned: list[Planned]
    systems: list[Comparison]


def verdicts_of(report: Report) -> list[Verdicts]:
    """Collect the verdicts on all targets that have planned comparisons, in order."""
    found = []
    for dataset in report.datasets():
        planned = [p for p in report.planned if p.claim.dataset == dataset]
        systems = [c for c in report.between_systems if c.claim.dataset == dataset]
        if planned or systems:
            found.append(Verdicts(dataset, planned, systems))
    return found


def how_decided(report: Report) -> list[str]:
    """Explain in a few sentences when a comparison is called certain; empty without comparisons."""
    how = {"holm": "Holm's", "westfall_young": "Westfall and Young's"}[report.correction]
    lines = []
    if report.planned:
        lines.append(
            f"{len(report.planned)} comparisons were planned: each pretrained method with the best baseline, at each"
            " number of labels, on each target. Baselines need no pretraining, and know as much of the tested people as"
            " the method."
        )
        lines.append(
            "A method is ahead of the best baseline if it is ahead of each of them, and behind it if it is behind any;"
            " so the choice of the best one flatters nobody."
        )
    if report.between_systems:
        lines.append(
            f"{len(report.between_systems)} comparisons between systems were planned: the first one with each other,"
            " by the same method. They are corrected by themselves."
        )
    if lines:
        lines.append(
            "Ahead and behind are certain if the 95 % interval over people leaves out 0, and a sign-flip test stays"
            f" below p = 0.05 after {how} correction. If all people share the draws of labels, the interval over draws"
            " must leave out 0 too, which takes three draws. “Not certain” does not mean “equal”."
        )
    return lines
