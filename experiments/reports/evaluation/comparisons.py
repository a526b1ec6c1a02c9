"""Comparisons of an evaluation, paired by subject: the planned ones, those between systems, and all other pairs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from experiments.evaluation.cells import CellResult
from experiments.reports.evaluation.roles import (
    BASELINES,
    BASELINES_WITHOUT_LABELS,
    EVENT_METRIC,
    METRIC,
    PRETRAINED,
    plays,
    pretrained,
    recommended,
)
from experiments.reports.evaluation.titles import EVENT, METRICS, in_order, method_title, parts_of
from experiments.statistics.claims import BaselineVerdict, Claim, Outcome, outcome, sentence_of
from experiments.statistics.differences import Correction, Difference, compare, compare_all, compare_with_best
from experiments.statistics.groups import Groups
from experiments.statistics.intervals import bootstrap_interval
from experiments.statistics.results import draw_means, subject_means

OUTCOMES: dict[Outcome, str] = {
    "better": "ahead",
    "worse": "behind",
    "open": "not certain",
    "too_few": "too few people",
}

Pairs = tuple[dict[str, float], dict[str, float]]  # subject -> value of the first, and of the second


@dataclass(frozen=True)
class Planned:
    """A planned comparison: a pretrained contender with the best baseline of the same knowledge.

    Attributes:
        first: the pretrained contender.
        seconds: the baselines, in the order of the verdict's claims.
        verdict: the verdict; its differences are corrected for all planned comparisons of the report.
        means: the first contender's mean, and that of the baseline that came closest, over the same draws.
        metric: ``METRIC``, or ``EVENT_METRIC`` for a target with a rare event.
    """

    first: str
    seconds: tuple[str, ...]
    verdict: BaselineVerdict
    means: tuple[float, float]
    metric: str

    @property
    def claim(self) -> Claim:
        """The claim about the baseline that came closest."""
        return self.verdict.closest

    @property
    def second(self) -> str:
        """The baseline that came closest."""
        return self.seconds[self.verdict.claims.index(self.claim)]

    @property
    def outcome(self) -> Outcome:
        """Outcome of the verdict."""
        return self.verdict.outcome

    @property
    def sentence(self) -> str:
        """The verdict as a whole sentence."""
        return _capital(self.verdict.sentence)


@dataclass(frozen=True)
class Comparison:
    """A contender of the first system with the same contender of another, corrected for all of these.

    Attributes:
        first: contender of the first system.
        second: contender of the other system.
        claim: the claim.
    """

    first: str
    second: str
    claim: Claim

    @property
    def outcome(self) -> Outcome:
        """Outcome of the claim."""
        return outcome(self.claim)

    @property
    def sentence(self) -> str:
        """The claim as a whole sentence."""
        return _capital(sentence_of(self.claim))


@dataclass(frozen=True)
class Pair:
    """A difference between two contenders that was not planned: neither corrected nor judged."""

    dataset: str
    unit: str
    shots: int
    first: str
    second: str
    difference: Difference


@dataclass(frozen=True)
class _Place:
    """All contenders of a target at one number of shots; without labels a contender belongs to every number."""

    dataset: str
    unit: str
    shots: int
    labelled: Mapping[str, list[CellResult]]
    without_labels: Mapping[str, list[CellResult]]

    def knowledge(self, contender: str) -> str:
        return self.cells(contender)[0].cell.knowledge

    def cells(self, contender: str) -> list[CellResult]:
        return self.labelled[contender] if contender in self.labelled else self.without_labels[contender]

    def pair(self, first: str, second: str, metric: str = METRIC) -> Pairs:
        """Average each contender's subjects over the folds and draws that both contenders have."""
        one, other = self.cells(first), self.cells(second)
        if second in self.labelled:
            shared = _draws(one) & _draws(other)
            one, other = ([r for r in cells if (r.cell.fold, r.cell.draw) in shared] for cells in (one, other))
        return subject_means(one, metric), subject_means(other, metric)

    def claim(self, first: str, second: str, metric: str, difference: Difference, simulated: Collection[str]) -> Claim:
        one, other = self.cells(first), self.cells(second)
        said = ""
        if self.dataset in simulated:
            said = "simulated data"
        elif any(r.simulated for r in [*one, *other]):
            said = "pretrained on simulated data"
        return Claim(
            method_title(first),
            method_title(second),
            self.dataset,
            self.shots,
            self.unit,
            METRICS[metric] if metric in METRICS else EVENT[metric].title,
            difference,
            share=metric in METRICS,
            simulated=said,
            over_draws=_over_draws(one, other, second not in self.labelled, metric) if self.shots else None,
            knowledge=self.knowledge(first),
            second_knowledge=self.knowledge(second),
        )


def planned_comparisons(
    groups: Groups, simulated_targets: Collection[str], resamples: int, correction: Correction
) -> list[Planned]:
    """Compare each pretrained contender with the best baseline at each number of shots, on all targets, as one family.

    Baselines know as much of the tested subjects as the contender. Without labels, the baseline is the majority.

    Args:
        groups: groups of all cells.
        simulated_targets: names of the targets whose windows come from the simulator.
        resamples: number of resamples of the bootstrap.
        correction: correction of the p-values for many comparisons.

    Returns:
        Comparisons by target in the order of ``groups``, by number of shots, then by contender as in the tables.
    """
    planned: list[tuple[_Place, str, str, dict[str, Pairs]]] = []
    for place in _places(groups):
        metric = _metric_of(groups, place.dataset)
        for first in pretrained(place.labelled):
            pairs = {second: place.pair(first, second, metric) for second in _baselines(place, first)}
            pairs = {second: pair for second, pair in pairs.items() if pair[0].keys() & pair[1].keys()}
            if pairs:
                planned.append((place, first, metric, pairs))
    found = compare_with_best([list(pairs.values()) for *_, pairs in planned], resamples, correction)
    made = []
    for (place, first, metric, pairs), differences in zip(planned, found, strict=True):
        claims = [
            place.claim(first, second, metric, difference, simulated_targets)
            for second, difference in zip(pairs, differences, strict=True)
        ]
        verdict = BaselineVerdict(tuple(claims))
        one, other = list(pairs.values())[claims.index(verdict.closest)]
        shared = sorted(one.keys() & other.keys())
        means = (float(np.mean([one[s] for s in shared])), float(np.mean([other[s] for s in shared])))
        made.append(Planned(first, tuple(pairs), verdict, means, metric))
    return made


def compare_systems(
    groups: Groups, simulated_targets: Collection[str], resamples: int, correction: Correction
) -> list[Comparison]:
    """Compare the first system with each other one, by the same pretrained methods, as a family of its own.

    The first system is the run's own, or else the one that was named first.
    """
    planned: list[tuple[_Place, str, str]] = []
    pairs: list[Pairs] = []
    for place in _places(groups):
        metric = _metric_of(groups, place.dataset)
        by_method: dict[str, list[str]] = {}
        for name in sorted(pretrained(place.labelled), key=list(place.labelled).index):
            by_method.setdefault(name.partition("@")[0], []).append(name)
        for method in in_order(by_method):
            first, *others = by_method[method]
            for second in others:
                pair = place.pair(first, second, metric)
                if pair[0].keys() & pair[1].keys():
                    planned.append((place, first, second))
                    pairs.append(pair)
    found = compare_all(pairs, resamples, correction)
    return [
        Comparison(
            first,
            second,
            place.claim(first, second, _metric_of(groups, place.dataset), difference, simulated_targets),
        )
        for (place, first, second), difference in zip(planned, found, strict=True)
    ]


def all_pairs(groups: Groups, resamples: int) -> list[Pair]:
    """Take the differences of each recommended contender to every other of the same knowledge, in balanced accuracy.

    A pair is compared on the folds and draws that both contenders have. A method without labels is compared at every
    number of shots. Recommended contenders are compared with each other once; those of different systems only if they
    are the same method.
    """
    found = []
    for place in _places(groups):
        contenders = {**place.without_labels, **place.labelled}
        firsts = recommended(place.labelled)
        for position, first in enumerate(firsts):
            alike = {name for name in contenders if place.knowledge(name) == place.knowledge(first)}
            for second in in_order(alike - {*firsts[: position + 1]}):
                if _of_different_systems(first, second):
                    continue
                one, other = place.pair(first, second)
                if one.keys() & other.keys():
                    difference = compare(one, other, resamples)
                    found.append(Pair(place.dataset, place.unit, place.shots, first, second, difference))
    return found


def _of_different_systems(first: str, second: str) -> bool:
    one, other = parts_of(first), parts_of(second)
    belongs = other[0] in PRETRAINED or (other[2] != "" and other[0] not in BASELINES)
    return belongs and one[2] != other[2] and one[:2] != other[:2]


def _baselines(place: _Place, first: str) -> list[str]:
    wanted = BASELINES if place.shots else BASELINES_WITHOUT_LABELS
    known = place.knowledge(first)
    return [name for name in in_order(place.labelled) if plays(name, wanted) and place.knowledge(name) == known]


def _metric_of(groups: Groups, dataset: str) -> str:
    """Choose the metric of a target: AUROC if it has a rare event and anybody's AUROC is defined."""
    cells = (r for results in groups[dataset].values() for r in results)
    told = any(r.event and any(EVENT_METRIC in values for values in r.by_subject.values()) for r in cells)
    return EVENT_METRIC if told else METRIC


def _places(groups: Groups) -> list[_Place]:
    """List targets with each number of shots: windows before subjects, few before many."""
    found = []
    for dataset, cells_by_key in groups.items():
        by_shots: dict[tuple[str, int], dict[str, list[CellResult]]] = {}
        for key, cells in cells_by_key.items():
            if key.perturbation == "":
                by_shots.setdefault((key.unit, key.shots), {})[key.contender] = cells
        without = by_shots.get(("windows", 0), {})
        for (unit, shots), there in sorted(by_shots.items(), key=lambda item: (item[0][0] != "windows", item[0][1])):
            found.append(_Place(dataset, unit, shots, there, without))
    return found


def _over_draws(
    first: Sequence[CellResult], second: Sequence[CellResult], not_drawn: bool, metric: str
) -> tuple[float, float] | None:
    """Compute the interval of the difference over shared draws; NaN with too few, None if folds draw separately."""
    if len({r.cell.fold for r in [*first, *second]}) > 1:
        return None
    one, other = draw_means(first, metric), draw_means(second, metric)
    if not_drawn:
        other = dict.fromkeys(one, float(np.mean(list(other.values()))))
    shared = sorted(one.keys() & other.keys())
    return bootstrap_interval(np.array([one[draw] - other[draw] for draw in shared]))


def _draws(results: Sequence[CellResult]) -> set[tuple[int, int]]:
    """Collect the folds and draws that have results."""
    return {(r.cell.fold, r.cell.draw) for r in results if r.metrics}


def _capital(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
