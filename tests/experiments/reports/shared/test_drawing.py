"""Drawing on several cores: the same bytes as here, and none is missing whatever happens to a process."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

import experiments.reports.shared.drawing as module
from experiments.reports.shared.drawing import WORTH_IT, drawing
from experiments.reports.shared.pictures import draw, png_of, svg_of

DPI = 80


def figures(count: int = WORTH_IT) -> list[Figure]:
    found = []
    for seed in range(count):
        figure = Figure(figsize=(2, 1.5))
        if seed == 0:
            figure.subplots().plot(np.random.default_rng(seed).normal(size=2000), label="m/s²")
        figure.text(0.1, 0.5, f"figure {seed}, ±1 µV")
        found.append(figure)
    return found


def draw_all(made: Sequence[Figure], processes: int) -> None:
    with drawing(DPI, processes, len(made)) as draw_it:
        for figure in made:
            draw_it(figure)


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
    with monkeypatch.context() as patch:
        patch.setattr(module, "_next", lambda waiting: None)
        draw_all(made, processes)


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
    draw_all(made, processes)
    assert_drawn(made, monkeypatch)


def test_few_figures_start_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    made = figures(WORTH_IT - 1)
    draw_all(made, 8)
    assert_drawn(made, monkeypatch)


@pytest.mark.parametrize("source", ["raise SystemExit(3)", "import os; os.kill(os.getpid(), 9)", "print('no picture')"])
def test_a_process_that_dies_leaves_no_figure_undrawn(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_DRAW", source)
    made = figures()
    draw_all(made, 3)
    for figure, expected in zip(made, figures(), strict=True):
        assert png_of(figure, DPI) == draw(expected, "png", DPI)
        assert svg_of(figure, DPI) == draw(expected, "svg", DPI)


def test_no_process_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", fail)
    made = figures()
    draw_all(made, 4)
    assert_drawn(made, monkeypatch)


def test_after_an_error_nobody_waits_for_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    made = figures(40)
    begun = threading.active_count()

    def fail() -> None:
        with drawing(DPI, 2, len(made)) as draw_it:
            for figure in made:
                draw_it(figure)
            raise ValueError("in the block")

    with pytest.raises(ValueError, match="in the block"):
        fail()
    assert threading.active_count() == begun
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *arguments, **options: drawn.append(self))
    for figure in made:
        png_of(figure, DPI)
    assert len(drawn) >= 38  # the other process had one, perhaps two
