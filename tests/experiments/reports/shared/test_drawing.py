"""Drawing on several cores: the same bytes as here, and none is missing whatever happens to a process."""

from __future__ import annotations

import queue
import subprocess
import threading
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from experiments.reports.shared import drawing
from experiments.reports.shared.drawing import WORTH_IT, draw_all
from experiments.reports.shared.pictures import draw, png_of, svg_of

DPI = 80


def figures(count: int = WORTH_IT) -> list[Figure]:
    found = []
    for seed in range(count):
        figure = Figure(figsize=(4, 3), layout="constrained")
        axes = figure.subplots()
        axes.plot(np.random.default_rng(seed).normal(size=30), label=f"curve {seed}, m/s²")
        axes.legend()
        found.append(figure)
    return found


def assert_drawn(made: Sequence[Figure], monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare with figures of the same content that are drawn here, and see that nothing is drawn any more."""
    expected = [(draw(figure, "png", DPI), draw(figure, "svg", DPI)) for figure in figures(len(made))]

    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("drawn again")

    with monkeypatch.context() as patch:
        patch.setattr(Figure, "savefig", refuse)
        assert [(png_of(figure, DPI), svg_of(figure, DPI)) for figure in made] == expected


def draw_elsewhere(made: Sequence[Figure], processes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw in other processes alone: this one takes no figure."""
    here, take = threading.get_ident(), drawing._next

    def take_elsewhere(waiting: queue.SimpleQueue[Figure]) -> Figure | None:
        return None if threading.get_ident() == here else take(waiting)

    with monkeypatch.context() as patch:
        patch.setattr(drawing, "_next", take_elsewhere)
        draw_all(made, DPI, processes)


def test_other_processes_draw_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    made = figures()
    draw_elsewhere(made, 3, monkeypatch)
    assert_drawn(made, monkeypatch)


def test_settings_of_matplotlib_hold_there_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with mpl.rc_context({"savefig.facecolor": "#ffcc00", "path.simplify": False}):
        made = figures()
        draw_elsewhere(made, 2, monkeypatch)
        assert_drawn(made, monkeypatch)


@pytest.mark.parametrize("processes", [1, 2])
def test_this_process_draws_too(processes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made = figures()
    draw_all(made, DPI, processes)
    assert_drawn(made, monkeypatch)


def test_few_figures_start_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    made = figures(WORTH_IT - 1)
    draw_all(made, DPI, 8)
    assert_drawn(made, monkeypatch)


@pytest.mark.parametrize("source", ["raise SystemExit(3)", "import os; os.kill(os.getpid(), 9)", "print('no picture')"])
def test_a_process_that_dies_leaves_no_figure_undrawn(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "_DRAW", source)
    made = figures()
    draw_all(made, DPI, 3)
    for figure, expected in zip(made, figures(), strict=True):
        assert png_of(figure, DPI) == draw(expected, "png", DPI)
        assert svg_of(figure, DPI) == draw(expected, "svg", DPI)


def test_no_process_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", fail)
    made = figures()
    draw_all(made, DPI, 4)
    assert_drawn(made, monkeypatch)
