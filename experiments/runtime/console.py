"""The console of all commands, for messages and progress bars on standard error."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from typing import IO, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.text import Text

from core.shown_text import visible
from experiments.runtime.stopping import Interrupted


class SafeConsole(Console):
    """A console on which names from data can neither move the cursor nor hide themselves."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Make a text of a string, as rich does; its width is that of what is shown."""
        return super().render_str(visible(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Render as rich does, with hidden characters shown; rich's own escape sequences are added afterwards."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)

    def on_broken_pipe(self) -> None:
        """Stop, as nobody reads this any more; rich's own way has the exit code of an error."""
        raise Interrupted("", signal.SIGPIPE)


class SafeText:
    """A stream of text, such as standard output, with hidden characters shown.

    Attributes:
        raw: the stream itself, for what is safe already.
    """

    def __init__(self, stream: IO[str]) -> None:
        self.raw = stream

    def write(self, text: str) -> int:
        """Write the text; return the number of characters that were given."""
        self.raw.write(visible(text))
        return len(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self.raw, name)


console = SafeConsole(stderr=True)


def standard_output() -> SafeConsole:
    """Make a console on standard output, for what a command answers."""
    stream = sys.stdout
    return SafeConsole(file=stream.raw if isinstance(stream, SafeText) else stream)


def progress_bar() -> Progress:
    """Make the progress bar of long tasks."""
    return Progress(
        TextColumn("[progress.description]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )
