"""Figures of an evaluation, for TensorBoard, for files and for the HTML report.

A figure's label (``Figure.get_label()``) describes it in words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from matplotlib.figure import Figure

from core.durable import write_bytes
from experiments.reports.evaluation.content import Report
from experiments.reports.evaluation.detail_tables import confused
from experiments.reports.evaluation.figures.answer import answer_figure
from experiments.reports.evaluation.figures.confusion import confusion_figure
from experiments.reports.evaluation.figures.cost import cost_figure
from experiments.reports.evaluation.figures.few_shot import few_shot_figure
from experiments.reports.evaluation.figures.forest import forest_figure
from experiments.reports.evaluation.figures.maps import map_figure
from experiments.reports.evaluation.figures.robustness import robustness_figure
from experiments.reports.shared.pictures import png_of

__all__ = [
    "answer_figure",
    "confusion_figure",
    "cost_figure",
    "few_shot_figure",
    "figures",
    "file_name",
    "forest_figure",
    "map_figure",
    "names",
    "robustness_figure",
    "save",
]


DPI = 150  # of files, of the page and of TensorBoard


def figures(report: Report, ready: Callable[[Figure], None] = lambda figure: None) -> dict[str, Figure]:
    """Make all figures, by name; figures without content are left out.

    Args:
        report: the report.
        ready: called with each figure as soon as it is made.
    """
    found: dict[str, Figure] = {}
    for name, figure in _made(report):
        if figure is not None:
            found[name] = figure
            ready(figure)
    return found


def _made(report: Report) -> Iterator[tuple[str, Figure | None]]:
    by_kind = names(report)
    for dataset in report.datasets():
        called = {kind: found[0] for kind, found in by_kind[dataset].items() if found}
        yield called["answer"], answer_figure(report, dataset)
        yield called["few_shot"], few_shot_figure(report, dataset)
        if "few_shot_subjects" in called:
            yield called["few_shot_subjects"], few_shot_figure(report, dataset, unit="subjects")
        yield called["forest"], forest_figure(report, dataset)
        for name, (contender, shots) in zip(by_kind[dataset]["confusion"], confused(report, dataset), strict=True):
            yield name, confusion_figure(report, dataset, contender, shots)
        yield called["robustness"], robustness_figure(report, dataset)
        yield called["cost"], cost_figure(report, dataset)
        yield called["map"], map_figure(report, dataset)


def names(report: Report) -> dict[str, dict[str, list[str]]]:
    """Name figures: target -> kind of the section -> names of its figures. Some figures may not exist."""
    found: dict[str, dict[str, list[str]]] = {}
    taken: set[str] = set()
    for dataset in report.datasets():
        base = name = file_name(dataset)
        number = 1
        while name in taken:  # names that differ only in characters that files must not have
            number += 1
            name = f"{base}_{number}"
        taken.add(name)
        kinds = ["answer", "few_shot", *(["few_shot_subjects"] if "subjects" in report.units(dataset) else [])]
        kinds += ["forest", "robustness", "cost", "map"]
        found[dataset] = {kind: [f"{kind}_{name}"] for kind in kinds}
        found[dataset]["confusion"] = [
            f"confusion_{name}_{file_name(contender)}" for contender, _ in confused(report, dataset)
        ]
    return found


def save(made: dict[str, Figure], folder: Path) -> list[Path]:
    """Write each figure as PNG, and return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in made.items():
        path = folder / f"{name}.png"
        write_bytes(path, png_of(figure, DPI))
        paths.append(path)
    return paths


def file_name(text: str) -> str:
    """Turn a target's name into a part of a file's name: lower case, letters, digits and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "target"
