"""Drawing on several cores: the same bytes as here, and none is missing whatever happens to a process."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
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
    with drawing(DPI, processes) as draw_it:
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


DYING = ["raise SystemExit(3)", "import os; os.kill(os.getpid(), 9)", "print('no picture')", "print('I1\\n.')"]


@pytest.mark.parametrize("source", DYING)
def test_a_process_that_dies_leaves_no_figure_undrawn(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_DRAW", source)
    made = figures()
    draw_all(made, 3)
    for figure, expected in zip(made, figures(), strict=True):
        assert png_of(figure, DPI) == draw(expected, "png", DPI)
        assert svg_of(figure, DPI) == draw(expected, "svg", DPI)


@pytest.mark.parametrize(
    ("what", "error"), [("Popen", OSError(11, "none left")), ("Thread", RuntimeError("none left"))]
)
@pytest.mark.parametrize("first", [0, 1])
def test_no_process_or_thread_can_be_started(
    what: str, error: Exception, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name = (subprocess, "Popen") if what == "Popen" else (threading.Thread, "start")
    real, calls = getattr(owner, name), []

    def fail(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        if len(calls) > first:
            raise error
        return real(*arguments, **options)

    made, begun = figures(), threading.active_count()
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fail)
        draw_all(made, 4)
    assert len(calls) == first + 1
    assert threading.active_count() == begun
    assert_drawn(made, monkeypatch)


def test_a_process_that_hangs_keeps_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def start(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setattr(module, "_DRAW", "import time; time.sleep(3600)")
    monkeypatch.setattr(module, "LEAVE_S", 0.2)
    made = figures()
    draw_all(made, 3)
    assert [process.wait(60) for process in started] == [-9, -9]
    for figure, expected in zip(made, figures(), strict=True):
        assert png_of(figure, DPI) == draw(expected, "png", DPI)


def test_a_figure_that_can_not_be_sent_does_not_keep_others_from_being_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    made = figures(WORTH_IT + 2)
    made[0].note = lambda: None  # type: ignore[attr-defined]
    draw_elsewhere(made, 2, monkeypatch)
    drawn_here: list[Figure] = []
    save = Figure.savefig

    def count(self: Figure, *arguments: Any, **options: Any) -> None:
        drawn_here.append(self)
        save(self, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", count)
    for figure in made:
        png_of(figure, DPI)
    assert drawn_here == [made[0]]


def test_modules_of_the_folder_where_it_runs_are_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "queue.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    made = figures()
    draw_elsewhere(made, 2, monkeypatch)
    assert_drawn(made, monkeypatch)


def test_other_processes_share_the_cache_of_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mpl.get_cachedir()  # of this process, which is found once
    monkeypatch.delenv("MPLCONFIGDIR", raising=False)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    made = figures()
    draw_elsewhere(made, 2, monkeypatch)
    assert_drawn(made, monkeypatch)
    assert not list(tmp_path.iterdir())


def test_after_an_error_nobody_waits_for_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    made = figures(40)
    begun = threading.active_count()

    def fail() -> None:
        with drawing(DPI, 2) as draw_it:
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
