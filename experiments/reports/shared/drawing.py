"""Drawing of many figures on several cores: other processes draw while this one does.

A process that draws gets figures by its standard input and gives pictures by its standard output. It is a fresh Python
that imports matplotlib and nothing of the command that runs: a process of :mod:`multiprocessing` would run a script
without a main block again. It has this process's search path, and matplotlib's ``rcParams`` and cache, but no fonts
that were added by hand. It ends when its input ends, so also when this process is killed.
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any

from experiments.reports.shared.pictures import draw, keep, png_of, svg_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Settings = dict[str, Any]  # of matplotlib, by name
Pictures = list[tuple[str, bytes]]  # a picture's format and content

WORTH_IT = 6  # figures; fewer are drawn sooner than a process has imported matplotlib
MOST_PROCESSES = 8
LEAVE_S = 30.0  # for the figure that another process draws at the end; drawing one takes a second or two
_DRAW = "import sys; sys.path[:] = sys.argv[1:]; from experiments.reports.shared.drawing import serve; serve()"


@contextmanager
def drawing(dpi: float, processes: int) -> Iterator[Callable[[Figure], None]]:
    """Draw figures as PNG and as SVG, so that :func:`png_of` and :func:`svg_of` have them at the end of the block.

    Other processes begin with the sixth figure; this one joins them at the end of the block. Whatever happens to them,
    nothing is lost: a figure that nobody has drawn is drawn where it is needed.

    Args:
        dpi: resolution.
        processes: that draw, this one among them; more than ``MOST_PROCESSES`` are not used.

    Yields:
        a function that takes a finished figure.
    """
    import matplotlib as mpl

    settings: Settings = {name: mpl.rcParams[name] for name in mpl.rcParams if not name.startswith("backend")}
    waiting: queue.SimpleQueue[Figure | None] = queue.SimpleQueue()
    helpers: list[_Helper] = []
    handed_on = 0

    def hand_on(figure: Figure) -> None:
        nonlocal handed_on
        waiting.put(figure)
        handed_on += 1
        if handed_on == WORTH_IT:
            with suppress(OSError, RuntimeError):  # no process or no thread more
                for _ in range(min(processes, MOST_PROCESSES) - 1):
                    helpers.append(_Helper(waiting, dpi, settings, mpl.get_cachedir()))

    done = False
    try:
        yield hand_on
        while figure := _next(waiting):
            png_of(figure, dpi)
            svg_of(figure, dpi)
        done = True
    finally:
        while _next(waiting):
            pass  # after an error nobody needs the others
        for _ in helpers:
            waiting.put(None)
        for helper in helpers:
            helper.end(LEAVE_S if done else 0)


def serve() -> None:
    """Draw the figures that standard input brings, until it ends."""
    # What libraries print goes to the error's stream: standard output is for pictures alone.
    target = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    import matplotlib as mpl

    while True:
        try:
            figure, dpi, settings = pickle.load(sys.stdin.buffer)  # of the process that started this one
        except EOFError:
            return
        found: Pictures = []
        # What can't be drawn is told where it is needed.
        with suppress(Exception), mpl.rc_context(settings):
            found = [(kind, draw(figure, kind, dpi)) for kind in ("png", "svg")]
        pickle.dump(found, target)
        target.flush()


class _Helper:
    """Another process that draws, and the thread that hands figures to it until None comes.

    Raises:
        OSError, RuntimeError: the process, or the thread, can't be started.
    """

    def __init__(self, waiting: queue.SimpleQueue[Figure | None], dpi: float, settings: Settings, cache: str) -> None:
        command = [sys.executable, "-c", _DRAW, *(entry for entry in sys.path if isinstance(entry, str))]
        # It reads the list of fonts that this process has, and makes no folder of its own.
        environment = {**os.environ, "MPLCONFIGDIR": cache}
        # A session of its own, so that Ctrl-C reaches this process alone.
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, env=environment
        )
        self._thread = threading.Thread(target=self._work, args=(waiting, dpi, settings), daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            self._process.kill()
            self._process.communicate()
            raise

    def end(self, within_s: float) -> None:
        """Wait for the figure that is being drawn, but no longer than this; then nobody waits for it any more."""
        self._thread.join(within_s)
        if self._thread.is_alive():
            self._process.kill()
            self._thread.join()

    def _work(self, waiting: queue.SimpleQueue[Figure | None], dpi: float, settings: Settings) -> None:
        to, back = self._process.stdin, self._process.stdout
        assert to is not None
        assert back is not None
        # Closing the pipe to a process that is gone fails.
        with suppress(OSError), self._process:
            while figure := waiting.get():
                try:
                    packed = pickle.dumps((figure, dpi, settings))
                except Exception:  # this figure can't be sent, whatever its parts say
                    continue
                pictures = _drawn_by(to, back, packed)
                if pictures is None:
                    self._process.kill()
                    return
                for kind, data in pictures:
                    keep(figure, kind, dpi, data)


def _drawn_by(to: IO[bytes], back: IO[bytes], packed: bytes) -> Pictures | None:
    """Let another process draw; None if it is gone, or says something else."""
    try:
        to.write(packed)
        to.flush()
        found = pickle.load(back)
    except Exception:  # bytes that are no picture can raise anything
        return None
    return found if isinstance(found, list) else None


def _next(waiting: queue.SimpleQueue[Figure | None]) -> Figure | None:
    try:
        return waiting.get_nowait()
    except queue.Empty:
        return None
