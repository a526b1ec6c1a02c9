"""Verdicts on a target: the first sentences of a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.reports.evaluation.comparisons import OUTCOMES, Comparison, against_the_best, recommended
from experiments.reports.evaluation.content import Report
from experiments.reports.evaluation.titles import headline_shots
from experiments.statistics.claims import Claim


@dataclass(frozen=True)
class Verdicts:
    """Verdicts on one target.

    Attributes:
        dataset: name of the target.
        best: one sentence for each recommended contender and number of shots, against the best baseline.
        summaries: one sentence for each recommended contender and number of shots.
        headline: comparisons at the numbers of shots of the summaries.
        others: all other comparisons.
    """

    dataset: str
    best: list[str]
    summaries: list[str]
    headline: list[Comparison]
    others: list[Comparison]

    @property
    def decided(self) -> bool:
        """True if a comparison of the headline was decided."""
        return any(comparison.outcome in ("better", "worse") for comparison in self.headline)


def verdicts_of(report: Report) -> list[Verdicts]:
    """Collect the verdicts on all targets that have comparisons, in order."""
    found = []
    for dataset in report.datasets():
        own = [c for c in report.comparisons if c.claim.dataset == dataset]
        if not own:
            continue
        headline, summaries = [], []
        for unit in report.units(dataset):
            there = [c for c in own if c.claim.shots_unit == unit]
            for shots in headline_shots([c.claim.shots for c in there]):
                for first in recommended({c.first for c in there}):
                    chosen = [c for c in there if c.claim.shots == shots and c.first == first]
                    headline += chosen
                    if chosen:
                        summaries.append(_summary(chosen))
        shown = set(map(id, headline))
        best = [verdict.sentence for verdict in against_the_best(headline)]
        best = [f"{sentence[0].upper()}{sentence[1:]}." for sentence in best]
        found.append(Verdicts(dataset, best, summaries, headline, [c for c in own if id(c) not in shown]))
    return found


def _summary(chosen: Sequence[Comparison]) -> str:
    """Count the comparisons of one contender at one number of shots by outcome, as a sentence."""
    claim = chosen[0].claim
    counts = {kind: sum(c.outcome == kind for c in chosen) for kind in OUTCOMES}
    who = f"{claim.simulated.upper()}{': ' if claim.simulated else ''}{claim.first_title} {_shots(claim)}"
    if counts["too_few"] == len(chosen):
        return f"{who}: there are too few subjects to decide any of {len(chosen)} comparisons."
    words = [f"{title} than {counts[kind]}" for kind, title in OUTCOMES.items() if kind in ("better", "worse")]
    rest = counts["open"] + counts["too_few"]
    reason = f" ({counts['too_few']} because of too few subjects)" if counts["too_few"] else ""
    return f"{who}: {', '.join(words)} of {len(chosen)} others; {rest} not decided{reason}."


def _shots(claim: Claim) -> str:
    if claim.shots_unit == "subjects":
        return f"with {'1 subject' if claim.shots == 1 else f'{claim.shots} subjects'} fully labelled"
    return f"at k = {claim.shots}"
