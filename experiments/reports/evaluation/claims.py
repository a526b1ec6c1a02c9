"""Is the pretrained encoder better? Its contenders against every other, subject by subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from experiments.evaluation.cells import CellResult
from experiments.reports.evaluation.titles import METRICS, headline_shots, in_order, method_title
from experiments.statistics.comparisons import compare_all
from experiments.statistics.intervals import bootstrap_interval
from experiments.statistics.results import draw_means, subject_means
from experiments.statistics.verdicts import Claim, Outcome, outcome, verdict

if TYPE_CHECKING:
    from experiments.reports.evaluation.content import Report

FIRST = ("linear_probe", "finetune")  # what a reader is told to use
METRIC = "balanced_accuracy"
OUTCOMES: dict[Outcome, str] = {
    "better": "better",
    "worse": "worse",
    "open": "not decided",
    "too_few": "too few people",
}


@dataclass(frozen=True)
class Comparison:
    """A claim, and the contenders that it is about.

    Attributes:
        first: one of ``FIRST``.
        second: any other contender.
        claim: with the difference, corrected for all comparisons of the report.
    """

    first: str
    second: str
    claim: Claim

    @property
    def outcome(self) -> Outcome:
        """What was shown."""
        return outcome(self.claim)

    @property
    def sentence(self) -> str:
        """The claim's verdict as a whole sentence."""
        text = verdict(self.claim)
        return f"{text[0].upper()}{text[1:]}."


def compare_contenders(report: Report) -> list[Comparison]:
    """All comparisons of a report, targets in order, by number of shots, then contenders in the tables' order.

    A pair is compared on the folds and draws that both did. A method without labels is compared with every number of
    shots. Of two contenders of ``FIRST``, the earlier one is compared with the later one only.
    """
    planned: list[tuple[str, str, str, int, str, str, tuple[float, float] | None]] = []
    pairs: list[tuple[Mapping[str, float], Mapping[str, float]]] = []
    for dataset, groups in report.groups.items():
        by_size: dict[tuple[str, int], dict[str, list[CellResult]]] = {}
        for key, cells in groups.items():
            if key.perturbation == "":
                by_size.setdefault((key.unit, key.shots), {})[key.contender] = cells
        without_labels = by_size.get(("windows", 0), {})
        for (unit, shots), labelled in sorted(by_size.items(), key=lambda item: (item[0][0] != "windows", item[0][1])):
            contenders = without_labels | labelled
            for position, first in enumerate(FIRST):
                if first not in labelled:
                    continue
                for second in in_order(contenders.keys() - {*FIRST[: position + 1]}):
                    pair = _paired(labelled[first], contenders[second], not_drawn=second in without_labels)
                    if pair[0].keys() & pair[1].keys():
                        simulated = ""
                        if dataset in report.simulated_targets:
                            simulated = "simulated data"
                        elif any(r.simulated for r in [*labelled[first], *contenders[second]]):
                            simulated = "pretrained on simulated data"
                        over_draws = _over_draws(labelled[first], contenders[second], second in without_labels)
                        planned.append((dataset, first, second, shots, unit, simulated, over_draws))
                        pairs.append(pair)
    found = compare_all(pairs, report.resamples, report.correction)
    return [
        Comparison(
            first,
            second,
            Claim(
                method_title(first),
                method_title(second),
                dataset,
                shots,
                unit,
                METRICS[METRIC],
                difference,
                simulated=simulated,
                over_draws=over_draws,
            ),
        )
        for (dataset, first, second, shots, unit, simulated, over_draws), difference in zip(planned, found, strict=True)
    ]


def _paired(
    first: Sequence[CellResult], second: Sequence[CellResult], not_drawn: bool
) -> tuple[dict[str, float], dict[str, float]]:
    """Each one's subject means over the folds and draws that both did."""
    if not_drawn:
        return subject_means(first, METRIC), subject_means(second, METRIC)
    shared = _draws(first) & _draws(second)
    kept = [[r for r in results if (r.cell.fold, r.cell.draw) in shared] for results in (first, second)]
    return subject_means(kept[0], METRIC), subject_means(kept[1], METRIC)


def _over_draws(
    first: Sequence[CellResult], second: Sequence[CellResult], not_drawn: bool
) -> tuple[float, float] | None:
    """Interval of the difference over draws, where all subjects share them; NaN where there are too few."""
    if len({r.cell.fold for r in [*first, *second]}) > 1:
        return None
    one, other = draw_means(first, METRIC), draw_means(second, METRIC)
    if not_drawn:
        other = dict.fromkeys(one, float(np.mean(list(other.values()))))
    shared = sorted(one.keys() & other.keys())
    return bootstrap_interval(np.array([one[draw] - other[draw] for draw in shared]))


def _draws(results: Sequence[CellResult]) -> set[tuple[int, int]]:
    """Folds and draws that were done."""
    return {(r.cell.fold, r.cell.draw) for r in results if r.metrics}


@dataclass(frozen=True)
class Verdicts:
    """What a reader is told first about one target.

    Attributes:
        dataset: name of the target.
        summaries: one sentence for each contender of ``FIRST`` and number of shots.
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
                for first in FIRST:
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
    who = f"{claim.simulated.upper()}{': ' if claim.simulated else ''}{claim.first_title} {_size(claim)}"
    if counts["too_few"] == len(chosen):
        return f"{who}: the subjects are too few to decide about any of {len(chosen)} others."
    words = [f"{title} than {counts[kind]}" for kind, title in OUTCOMES.items() if kind in ("better", "worse")]
    rest = counts["open"] + counts["too_few"]
    reason = f" ({counts['too_few']} for too few subjects)" if counts["too_few"] else ""
    return f"{who}: {', '.join(words)} of {len(chosen)} others; {rest} not decided{reason}."


def _size(claim: Claim) -> str:
    if claim.shots_unit == "subjects":
        return f"with {'1 whole person' if claim.shots == 1 else f'{claim.shots} whole people'} labelled"
    return f"at k = {claim.shots}"
