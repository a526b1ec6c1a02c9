"""Robustness of contenders to perturbed windows: turned, noisy, slower, without a gyroscope, from another placement."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.evaluation.cells import CellResult
from experiments.evaluation.perturbations import KINDS, PLACEMENT, parse_perturbation
from experiments.reports.evaluation.content import Report
from experiments.reports.evaluation.titles import in_order
from experiments.statistics.groups import Key
from experiments.statistics.results import Estimate, estimate

METRIC = "balanced_accuracy"
Level = float | str


@dataclass(frozen=True)
class Curve:
    """One contender under one kind of perturbation.

    Attributes:
        contender: the contender.
        unit: unit of the shots.
        shots: largest number of shots with evaluated perturbations.
        clean: estimate on windows as they are, by the same fitted models.
        levels: level -> estimate, ascending; placements by name.
    """

    contender: str
    unit: str
    shots: int
    clean: Estimate
    levels: dict[Level, Estimate]


def robustness_curves(report: Report, dataset: str, metric: str = METRIC) -> dict[str, list[Curve]]:
    """Make kind of perturbation -> curves: kinds in the order of ``KINDS``, contenders in the order of the tables."""
    groups = report.groups[dataset]
    found: dict[str, dict[str, dict[tuple[str, int], dict[Level, list[CellResult]]]]] = {}
    for key, cells in groups.items():
        if key.perturbation:
            perturbation = parse_perturbation(key.perturbation)
            by_shots = found.setdefault(perturbation.kind, {}).setdefault(key.contender, {})
            by_shots.setdefault((key.unit, key.shots), {})[perturbation.level] = [
                r for r in cells if metric in r.metrics
            ]
    curves: dict[str, list[Curve]] = {}
    for kind in KINDS:
        by_contender = found.get(kind, {})
        for contender in in_order(by_contender):
            (unit, shots), levels = max(by_contender[contender].items(), key=lambda item: item[0][1])
            # Perturbations get fewer draws, so the clean level uses the same draws only.
            fitted = {_model(r) for cells in levels.values() for r in cells}
            clean = [r for r in groups.get(Key(contender, unit, shots, ""), []) if _model(r) in fitted and r.metrics]
            estimates = {k: estimate(levels[k], metric, report.resamples) for k in sorted(levels) if levels[k]}
            if clean and estimates:
                curve = Curve(contender, unit, shots, estimate(clean, metric, report.resamples), estimates)
                curves.setdefault(kind, []).append(curve)
    return curves


def clean_title(kind: str) -> str:
    """Name the level that changes nothing."""
    clean = KINDS[kind].clean
    if kind == "gyroscope":
        return "there"
    if kind == PLACEMENT:
        return "as fitted"
    return "as recorded" if clean is None else f"{clean:g}"


def level_title(kind: str, level: Level) -> str:
    """Name a level on an axis or above a column."""
    if isinstance(level, str):
        return level.replace("_", " ")
    return "missing" if kind == "gyroscope" else f"{level:g}"


def _model(result: CellResult) -> tuple[str, int, int, int]:
    cell = result.cell
    return cell.checkpoint, cell.seed, cell.fold, cell.draw
