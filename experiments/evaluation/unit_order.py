"""Order in which units are computed, and which of them are one task."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.evaluation.plan import Unit


def in_turn(units: Sequence[Unit]) -> list[Unit]:
    """Sort units in the order in which they are best computed.

    Fast methods come first, so that an interrupted evaluation has kept most cells. Those of one draw follow one
    another, because they share fits. Then the longest trainings come first, so that cores are done together.
    """
    draws = _draws_of(units)

    def turn(place: int) -> tuple[int, ...]:
        trained = units[place].method.trained
        return (1, -units[place].cells[0].shots, *draws[place]) if trained else (0, *draws[place])

    return [units[place] for place in sorted(range(len(units)), key=turn)]


def in_tasks(units: Sequence[Unit]) -> list[list[Unit]]:
    """Put the units of one draw into one task; a unit that trains an encoder is a task of its own.

    Units of one draw share fits, which two processes would compute twice.
    """
    tasks: dict[object, list[Unit]] = {}
    for place, (unit, draw) in enumerate(zip(units, _draws_of(units), strict=True)):
        tasks.setdefault(place if unit.method.trained else draw, []).append(unit)
    return list(tasks.values())


def _draws_of(units: Sequence[Unit]) -> list[tuple[int, ...]]:
    """Number each unit's draw of labels."""
    features = {id(unit.features): number for number, unit in enumerate(units)}
    cells = [unit.cells[0] for unit in units]
    return [
        (features[id(unit.features)], cell.fold, cell.shots_unit == "subjects", cell.shots, cell.draw)
        for unit, cell in zip(units, cells, strict=True)
    ]
