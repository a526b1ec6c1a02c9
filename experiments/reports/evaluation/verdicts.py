"""Verdicts on a target: the sentences that a report begins with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.reports.evaluation.comparisons import OUTCOMES, RECOMMENDED, Comparison
from experiments.reports.evaluation.content import Report
from experiments.reports.evaluation.titles import headline_shots
from experiments.statistics.claims import Claim


@dataclass(frozen=True)
class Verdicts:
    """What a reader is told first about one target.

    Attributes:
        dataset: name of the target.
        summaries: one sentence for each contender of ``RECOMMENDED`` and number of shots.
        headline: comparisons at the numbers of shots that summaries speak of.
        others: all other comparisons.
    """

    dataset: str
    summaries: list[str]
    headline: list[Comparison]
    others: list[Comparison]

    @property
    def decided(self) -> bool:
        """Whether anything was shown at these numbers of shots."""
        return any(comparison.outcome in ("better", "worse") for comparison in self.headline)


def verdicts_of(report: Report) -> list[Verdicts]:
    """Of all targets that have comparisons, in order."""
    found = []
    for dataset in report.datasets():
        own = [c for c in report.comparisons if c.claim.dataset == dataset]
        if not own:
            continue
        headline, summaries = [], []
        for unit in report.units(dataset):
            there = [c for c in own if c.claim.shots_unit == unit]
            for shots in headline_shots([c.claim.shots for c in there]):
                for first in RECOMMENDED:
                    chosen = [c for c in there if c.claim.shots == shots and c.first == first]
                    headline += chosen
                    if chosen:
                        summaries.append(_summary(chosen))
        shown = set(map(id, headline))
        found.append(Verdicts(dataset, summaries, headline, [c for c in own if id(c) not in shown]))
    return found


def _summary(chosen: Sequence[Comparison]) -> str:
    """Comparisons of one contender at one number of shots, counted by outcome."""
    claim = chosen[0].claim
    counts = {kind: sum(c.outcome == kind for c in chosen) for kind in OUTCOMES}
    who = f"{claim.simulated.upper()}{': ' if claim.simulated else ''}{claim.first_title} {_shots(claim)}"
    if counts["too_few"] == len(chosen):
        return f"{who}: the subjects are too few to decide about any of {len(chosen)} others."
    words = [f"{title} than {counts[kind]}" for kind, title in OUTCOMES.items() if kind in ("better", "worse")]
    rest = counts["open"] + counts["too_few"]
    reason = f" ({counts['too_few']} for too few subjects)" if counts["too_few"] else ""
    return f"{who}: {', '.join(words)} of {len(chosen)} others; {rest} not decided{reason}."


def _shots(claim: Claim) -> str:
    if claim.shots_unit == "subjects":
        return f"with {'1 whole person' if claim.shots == 1 else f'{claim.shots} whole people'} labelled"
    return f"at k = {claim.shots}"
