"""Groups of cells that a table sums up in one figure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from experiments.evaluation.cells import CellResult


class Key(NamedTuple):
    """Key of a group: its cells of a target differ only in fold, draw, checkpoint and seed."""

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
        # Without labels, the unit makes no difference.
        unit = cell.shots_unit if cell.shots else "windows"
        key = Key(cell.contender, unit, cell.shots, cell.perturbation)
        found.setdefault(cell.dataset, {}).setdefault(key, []).append(result)
    return found
