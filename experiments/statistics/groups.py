"""Groups of cells that differ in fold, draw, checkpoint and seed alone: what a table gives one figure to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from experiments.evaluation.cells import CellResult


class Key(NamedTuple):
    """Which cells of a target belong together: they differ in fold, draw, checkpoint and seed alone."""

    contender: str
    unit: str
    shots: int
    perturbation: str


# Target -> key -> cells.
Groups = dict[str, dict[Key, list[CellResult]]]


def group_cells(results: Iterable[CellResult]) -> Groups:
    """Group the cells of an evaluation, targets and keys in the order of the results."""
    found: Groups = {}
    for result in results:
        cell = result.cell
        # Without labels there is nothing to count in subjects.
        unit = cell.shots_unit if cell.shots else "windows"
        key = Key(cell.contender, unit, cell.shots, cell.perturbation)
        found.setdefault(cell.dataset, {}).setdefault(key, []).append(result)
    return found
