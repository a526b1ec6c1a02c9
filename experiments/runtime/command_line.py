"""The command line of all commands: ``COMMAND CONFIG [key=value ...]``, ``--help``, ``--print-config``, exit codes."""

from __future__ import annotations

import argparse
import errno
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import IO, TYPE_CHECKING, NoReturn, cast

from core.errors import MendableError
from core.room import advice
from core.shown_text import visible
from experiments.runtime.console import SafeText
from experiments.settings.layers import ConfigError, available
from experiments.settings.static_help import describe_statically

if TYPE_CHECKING:
    from experiments.settings.schema import Config

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_SIGNAL = 128  # plus the signal's number, as shells have it

SCRIPT = "imu-video-har"
_started_by_script = False
_MENDABLE = (MendableError, OSError)  # of the disk: full, read-only, not there; its message names the path


class Interrupted(KeyboardInterrupt):
    """A command that a signal stopped, and that can go on; its exit code is 128 and the signal's number.

    Args:
        message: says how far it came, and how it goes on.
        number: the signal.
    """

    def __init__(
        self,
        message: str = "interrupted; the same command continues where it stopped",
        number: int = signal.SIGINT,
    ) -> None:
        super().__init__(message)
        self.signal = int(number)


def program(command: str) -> str:
    """Say how a command was started: ``python -m experiments.pretrain``, or ``imu-video-har pretrain``."""
    return f"{SCRIPT} {command.split('.')[-1]}" if _started_by_script else f"python -m {command}"


def start_by_script() -> None:
    """Let the commands of this process call themselves sub-commands of the console script."""
    global _started_by_script
    _started_by_script = True


class _Parser(argparse.ArgumentParser):
    def format_help(self) -> str:
        return f"{super().format_help()}\n{_all_keys()}\n" if self.lists_settings else super().format_help()

    lists_settings = False

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EXIT_USAGE, f"{self.prog}: {message}\n")


def parse(argv: Sequence[str] | None, command: str, description: str) -> Config:
    """Read the settings that a command line asks for; ``--help`` and ``--print-config`` end the program.

    Args:
        argv: arguments without the program's name; None takes ``sys.argv``.
        command: the module, e.g. ``experiments.pretrain``.
        description: what the command does, one line.

    Raises:
        SystemExit: after ``--help``, ``--print-config``, or a wrong setting (exit code 2).
    """
    parser = _Parser(
        prog=program(command),
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.lists_settings = True
    parser.add_argument("config", nargs="?", default="simulator", help=f"{', '.join(available())}, or a .yaml file")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings that differ, e.g. run.seed=1")
    parser.add_argument("--print-config", action="store_true", help="print the merged settings and stop")
    arguments = parser.parse_args(argv)
    if "=" in arguments.config:  # `COMMAND run.seed=1` means the default experiment
        arguments.overrides.insert(0, arguments.config)
        arguments.config = "simulator"
    from experiments.settings.load import load, to_yaml  # it imports nearly everything

    try:
        config = load(arguments.config, arguments.overrides)
    except ConfigError as error:
        parser.exit(EXIT_USAGE, f"{parser.prog}: {error}\n")
    if arguments.print_config:
        print(to_yaml(config), end="")
        parser.exit(EXIT_OK)
    return config


def guarded(run: Callable[[], int], command: str) -> int:
    """Run a command; an error that its user can mend becomes one message and exit code 1."""
    try:
        with redirect_stdout(cast("IO[str]", SafeText(sys.stdout))), _quiet_threads():
            return run()
    except _MENDABLE as error:
        said = advice(error) if isinstance(error, OSError) else str(error)
        print(visible(f"{program(command)}: {said}"), file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt as error:
        stopped = error if isinstance(error, Interrupted) else Interrupted()
        print(f"\n{program(command)}: {stopped}", file=sys.stderr)
        return EXIT_SIGNAL + stopped.signal


@contextmanager
def _quiet_threads() -> Iterator[None]:
    """Let a thread that finds the disk full, such as TensorBoard's, end without a traceback: the command says it."""
    before = threading.excepthook

    def hook(found: threading.ExceptHookArgs) -> None:
        if not (isinstance(found.exc_value, OSError) and found.exc_value.errno == errno.ENOSPC):
            before(found)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


def _all_keys() -> str:
    rows = list(describe_statically())
    width = max(len(path) for path, *_ in rows)
    lines = [f"  {path:<{width}}  {text} [{kind}, default {default}]" for path, kind, default, text in rows]
    return "settings:\n" + "\n".join(lines)
