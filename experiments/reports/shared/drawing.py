"""Drawing of many figures on all cores: other processes draw while this one does.

A process that draws gets figures by its standard input and gives pictures by its standard output. It is a fresh Python
that imports matplotlib and nothing of the command that runs: a process of :mod:`multiprocessing` would run a script
without a main block again. It ends when its input ends, so also when this process is killed.
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Collection, Sequence
from typing import IO, TYPE_CHECKING, Any

from experiments.reports.shared.pictures import draw, keep, png_of, svg_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Settings = dict[str, Any]  # of matplotlib, by name

WORTH_IT = 6  # figures; fewer are drawn sooner than a process has imported matplotlib
MOST_PROCESSES = 8
_DRAW = "from experiments.reports.shared.drawing import serve; serve()"


def draw_all(figures: Collection[Figure], dpi: float, processes: int) -> None:
    """Draw figures as PNG and as SVG, so that :func:`png_of` and :func:`svg_of` have them.

    Whatever happens to the other processes, all figures are drawn: this one draws those that nobody else has.

    Args:
        figures: finished figures.
        dpi: resolution.
        processes: that draw, this one among them.
    """
    import matplotlib as mpl

    waiting: queue.SimpleQueue[Figure] = queue.SimpleQueue()
    for figure in figures:
        waiting.put(figure)
    others = min(processes, MOST_PROCESSES) - 1 if len(figures) >= WORTH_IT else 0
    settings = {name: value for name, value in mpl.rcParams.items() if not name.startswith("backend")}
    threads = [threading.Thread(target=_let_draw, args=(waiting, dpi, settings), daemon=True) for _ in range(others)]
    for thread in threads:
        thread.start()
    while (mine := _next(waiting)) is not None:
        png_of(mine, dpi)
        svg_of(mine, dpi)
    for thread in threads:
        thread.join()


def serve() -> None:
    """Draw the figures that standard input brings, until it ends."""
    import matplotlib as mpl

    source, target = sys.stdin.buffer, sys.stdout.buffer
    while True:
        try:
            figure, dpi, settings = pickle.load(source)  # of the process that started this one
        except EOFError:
            return
        with mpl.rc_context(settings):
            pickle.dump([(kind, draw(figure, kind, dpi)) for kind in ("png", "svg")], target)
        target.flush()


def _let_draw(waiting: queue.SimpleQueue[Figure], dpi: float, settings: Settings) -> None:
    """Hand figures to another process, one after the other."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    command = [sys.executable, "-c", _DRAW]
    environment = {**os.environ, "PYTHONPATH": path}
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
    except OSError:  # no process more, no descriptor more
        return
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        while (figure := _next(waiting)) is not None:
            pictures = _drawn_by(process.stdin, process.stdout, figure, dpi, settings)
            if not pictures:
                return  # it was killed, or could not draw this figure: the figure is drawn where it is needed
            for kind, data in pictures:
                keep(figure, kind, dpi, data)


def _drawn_by(
    to: IO[bytes], back: IO[bytes], figure: Figure, dpi: float, settings: Settings
) -> Sequence[tuple[str, bytes]]:
    try:
        to.write(pickle.dumps((figure, dpi, settings)))
        to.flush()
        found: list[tuple[str, bytes]] = pickle.load(back)
    except (OSError, EOFError, pickle.PickleError, TypeError, AttributeError):  # the last two: it can't be pickled
        return []
    return found


def _next(waiting: queue.SimpleQueue[Figure]) -> Figure | None:
    try:
        return waiting.get_nowait()
    except queue.Empty:
        return None
