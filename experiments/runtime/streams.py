"""Standard streams of a command, which may be closed, full, read by nobody, or unable to write an accent."""

from __future__ import annotations

import errno
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

from core.errors import MendableError
from experiments.runtime.stopping import Interrupted


class OutputError(MendableError):
    """Standard output that could not be written."""


class Answers:
    """Standard output: a stream that says why it can't be written.

    Args:
        stream: the stream itself.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text; what fails is raised as by :meth:`flush`."""
        try:
            return self._stream.write(text)
        except OSError as error:
            raise self._given_up(error) from error

    def flush(self) -> None:
        """Write what is still held back.

        Raises:
            Interrupted: nobody reads it any more, as after ``| head``; exit code 141 without a word, as shells have it.
            OutputError: it can't be written, e.g. to a full disk.
        """
        try:
            self._stream.flush()
        except OSError as error:
            raise self._given_up(error) from error

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def _given_up(self, error: OSError) -> BaseException:
        # Python would try again at its end, with a message of its own and exit code 120.
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
        if error.errno == errno.EPIPE:
            return Interrupted("", signal.SIGPIPE)
        return OutputError(f"standard output can't be written: {error.strerror}; files that were written are kept")


def open_streams() -> None:
    """See to it that the three standard streams are open, and write every letter.

    Where a command is started without one (``2>&-``), the next file that is opened gets its number, and what libraries
    write to standard error would go into that file, be it a shard.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - for the life of the process
        elif hasattr(stream, "reconfigure") and "utf" not in (stream.encoding or "").lower():
            stream.reconfigure(errors="backslashreplace")
