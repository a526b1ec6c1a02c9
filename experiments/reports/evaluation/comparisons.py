"""Comparisons of the recommended contenders with all others, paired by subject."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from experiments.evaluation.cells import CellResult
from experiments.reports.evaluation.titles import METRICS, in_order, method_title, parts_of
from experiments.statistics.claims import BaselineVerdict, Claim, Outcome, outcome, sentence_of
from experiments.statistics.differences import Correction, compare_all
from experiments.statistics.groups import Groups
from experiments.statistics.intervals import bootstrap_interval
from experiments.statistics.results import draw_means, subject_means

# Methods that a reader is advised to use, as they are and under adaptations.
RECOMMENDED = (
    "linear_probe",
    "finetune",
    "hybrid_logistic",
    "hybrid_mean",
    "source_probe",
    "transfer_logistic",
    "transfer_mean",
)
CONTROLS = (
    "person_other",
    "balanced_other",
    "personal_none",
)  # adaptations that are controls, and not to be recommended
# What one would do without pretraining. The verdict is about the best of these.
BASELINES = (
    "source_logistic",
    "source_trees",
    "source_mean",
    "handcrafted_rf",
    "handcrafted_trees",
    "handcrafted_logistic",
    "handcrafted_mean",
    "catch22",
    "minirocket",
    "hydra",
    "external",
    "supervised",
)
METRIC = "balanced_accuracy"
OUTCOMES: dict[Outcome, str] = {
    "better": "better",
    "worse": "worse",
    "open": "not decided",
    "too_few": "too few subjects",
}


@dataclass(frozen=True)
class Comparison:
    """A claim, and the contenders that it is about.

    Attributes:
        first: a recommended contender.
        second: any other contender of the same knowledge of the tested subjects.
        claim: the claim; its difference is corrected for all comparisons of the report.
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
        text = sentence_of(self.claim)
        return f"{text[0].upper()}{text[1:]}."


def compare_contenders(
    groups: Groups, simulated_targets: Collection[str], resamples: int, correction: Correction
) -> list[Comparison]:
    """Compare each recommended contender with every other of the same knowledge, on all targets, as one family.

    A pair is compared on the folds and draws that both contenders have. A method without labels is compared at every
    number of shots. The recommended contenders are compared with each other once.

    Args:
        groups: groups of all cells.
        simulated_targets: names of the targets whose windows come from the simulator.
        resamples: number of resamples of the bootstrap.
        correction: correction of the p-values for many comparisons.

    Returns:
        Comparisons by target in the order of ``groups``, by number of shots, then by contender as in the tables.
    """
    planned: list[tuple[str, str, str, int, str, str, tuple[float, float] | None, tuple[str, str]]] = []
    pairs: list[tuple[Mapping[str, float], Mapping[str, float]]] = []
    for dataset, cells_by_key in groups.items():
        by_shots: dict[tuple[str, int], dict[str, list[CellResult]]] = {}
        for key, cells in cells_by_key.items():
            if key.perturbation == "":
                by_shots.setdefault((key.unit, key.shots), {})[key.contender] = cells
        without_labels = by_shots.get(("windows", 0), {})
        for (unit, shots), labelled in sorted(by_shots.items(), key=lambda item: (item[0][0] != "windows", item[0][1])):
            contenders = without_labels | labelled
            firsts = recommended(labelled)
            for position, first in enumerate(firsts):
                alike = {name for name in contenders if _knowledge(contenders[name]) == _knowledge(labelled[first])}
                for second in in_order(alike - {*firsts[: position + 1]}):
                    pair = _paired(labelled[first], contenders[second], not_drawn=second in without_labels)
                    if pair[0].keys() & pair[1].keys():
                        simulated = ""
                        if dataset in simulated_targets:
                            simulated = "simulated data"
                        elif any(r.simulated for r in [*labelled[first], *contenders[second]]):
                            simulated = "pretrained on simulated data"
                        over_draws = _over_draws(labelled[first], contenders[second], second in without_labels)
                        knowledge = (_knowledge(labelled[first]), _knowledge(contenders[second]))
                        planned.append((dataset, first, second, shots, unit, simulated, over_draws, knowledge))
                        pairs.append(pair)
    found = compare_all(pairs, resamples, correction)
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
                knowledge=knowledge[0],
                second_knowledge=knowledge[1],
            ),
        )
        for (dataset, first, second, shots, unit, simulated, over_draws, knowledge), difference in zip(
            planned, found, strict=True
        )
    ]


def recommended(contenders: Iterable[str]) -> list[str]:
    """Select the run's own recommended contenders, in the order of ``RECOMMENDED``, adapted ones last."""
    found = []
    for name in in_order([*contenders]):
        method, adaptations, system = parts_of(name)
        if method in RECOMMENDED and not system and not set(adaptations) & set(CONTROLS):
            found.append(name)
    return sorted(found, key=lambda name: ("+" in name, RECOMMENDED.index(parts_of(name)[0])))


def against_the_best(comparisons: Iterable[Comparison]) -> list[BaselineVerdict]:
    """Sum up comparisons with baselines, by target, number of shots and first contender, in their order."""
    found: dict[tuple[str, str, int, str], list[Claim]] = {}
    for c in comparisons:
        if parts_of(c.second)[0] in BASELINES:
            found.setdefault((c.claim.dataset, c.claim.shots_unit, c.claim.shots, c.first), []).append(c.claim)
    return [BaselineVerdict(tuple(claims)) for claims in found.values()]


def _knowledge(results: Sequence[CellResult]) -> str:
    return results[0].cell.knowledge


def _paired(
    first: Sequence[CellResult], second: Sequence[CellResult], not_drawn: bool
) -> tuple[dict[str, float], dict[str, float]]:
    """Average each contender's subjects over the folds and draws that both contenders have."""
    if not_drawn:
        return subject_means(first, METRIC), subject_means(second, METRIC)
    shared = _draws(first) & _draws(second)
    kept = [[r for r in results if (r.cell.fold, r.cell.draw) in shared] for results in (first, second)]
    return subject_means(kept[0], METRIC), subject_means(kept[1], METRIC)


def _over_draws(
    first: Sequence[CellResult], second: Sequence[CellResult], not_drawn: bool
) -> tuple[float, float] | None:
    """Compute the interval of the difference over shared draws; NaN with too few, None if folds draw separately."""
    if len({r.cell.fold for r in [*first, *second]}) > 1:
        return None
    one, other = draw_means(first, METRIC), draw_means(second, METRIC)
    if not_drawn:
        other = dict.fromkeys(one, float(np.mean(list(other.values()))))
    shared = sorted(one.keys() & other.keys())
    return bootstrap_interval(np.array([one[draw] - other[draw] for draw in shared]))


def _draws(results: Sequence[CellResult]) -> set[tuple[int, int]]:
    """Collect the folds and draws that have results."""
    return {(r.cell.fold, r.cell.draw) for r in results if r.metrics}
