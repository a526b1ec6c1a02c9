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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any

from experiments.reports.shared.pictures import draw, keep, png_of, svg_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Settings = dict[str, Any]  # of matplotlib, by name

WORTH_IT = 6  # figures; fewer are drawn sooner than a process has imported matplotlib
MOST_PROCESSES = 8
_DRAW = "from experiments.reports.shared.drawing import serve; serve()"


@contextmanager
def drawing(dpi: float, processes: int, expected: int) -> Iterator[Callable[[Figure], None]]:
    """Draw figures as PNG and as SVG, so that :func:`png_of` and :func:`svg_of` have them at the end of the block.

    Other processes begin as soon as they have one; this one joins them at the end of the block. Whatever happens to
    them, all figures are drawn: those that nobody has drawn are drawn where they are needed.

    Args:
        dpi: resolution.
        processes: that draw, this one among them.
        expected: number of figures that will come, or about as many; few are drawn here alone.

    Yields:
        a function that takes a finished figure.
    """
    import matplotlib as mpl

    waiting: queue.SimpleQueue[Figure | None] = queue.SimpleQueue()
    others = min(processes, MOST_PROCESSES) - 1 if expected >= WORTH_IT else 0
    settings = {name: value for name, value in mpl.rcParams.items() if not name.startswith("backend")}
    threads = [threading.Thread(target=_let_draw, args=(waiting, dpi, settings), daemon=True) for _ in range(others)]
    for thread in threads:
        thread.start()
    try:
        yield waiting.put
        while figure := _next(waiting):
            png_of(figure, dpi)
            svg_of(figure, dpi)
    finally:
        while _next(waiting):
            pass  # after an error nobody needs the others
        for _ in threads:
            waiting.put(None)
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


def _let_draw(waiting: queue.SimpleQueue[Figure | None], dpi: float, settings: Settings) -> None:
    """Hand figures to another process, one after the other, until None comes."""
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
    # Closing the pipe to a process that is gone fails.
    with suppress(OSError), process:
        while figure := waiting.get():
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


def _next(waiting: queue.SimpleQueue[Figure | None]) -> Figure | None:
    try:
        return waiting.get_nowait()
    except queue.Empty:
        return None
