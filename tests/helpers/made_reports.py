"""Reports of evaluations that were made up, and what is shown of them."""

from __future__ import annotations

import dataclasses
import io

from helpers.made_results import make_results
from rich.console import Console

from experiments.evaluation.cells import CellResult
from experiments.reports.evaluation import METRICS, Report, terminal_answer
from experiments.reports.shared.table import Table

HOME = "people at home"
ACTIVITIES = ("fall", "sit", "walk")


def report(people: int = 8, **asked: object) -> Report:
    """Two numbers of shots and two draws."""
    options: dict[str, object] = {"shots": (1, 10), "draws": 2, **asked}
    return Report("x/default", make_results(HOME, people, ACTIVITIES, **options), 500)  # type: ignore[arg-type]


def with_accuracy(result: CellResult, value: float) -> CellResult:
    """All of a cell's scores have this value."""
    metrics = dict.fromkeys(METRICS, value)
    return dataclasses.replace(result, metrics=metrics, by_subject=dict.fromkeys(result.by_subject, metrics))


def cells_of(table: Table, row: str) -> dict[str, str]:
    """Column -> text of a row."""
    found = next(r for r in table.rows if r[0] == row)
    return dict(zip(table.columns, found[1:], strict=True))


def on_screen(made: Report) -> str:
    """What the terminal shows, each line as wide as it likes."""
    out = Console(file=io.StringIO(), width=400)
    for part in terminal_answer(made):
        out.print(part, highlight=False)
    return out.file.getvalue()  # type: ignore[attr-defined]


def one_fold(made: Report) -> Report:
    """The same people, tested at once: all with the same draws."""
    cells = [dataclasses.replace(r, cell=dataclasses.replace(r.cell, fold=0)) for r in made.results]
    return Report(made.title, cells, made.resamples)
