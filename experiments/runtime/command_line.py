"""The command line of all commands: ``COMMAND CONFIG [key=value ...]``, ``--help``, ``--print-config``, exit codes."""

from __future__ import annotations

import argparse
import errno
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, NoReturn, cast

from core.errors import MendableError
from core.room import advice, no_processes, out_of_threads
from core.shown_text import visible
from experiments.runtime.console import SafeText
from experiments.runtime.errors import UserError
from experiments.runtime.stopping import Interrupted, leave, received, stoppable
from experiments.runtime.streams import Answers, OutputError, open_streams
from experiments.settings.layers import ConfigError, available
from experiments.settings.static_help import describe_statically

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

    from experiments.settings.schema import Config

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2

SCRIPT = "imu-video-har"
_started_by_script = False
_MENDABLE = (MendableError, OSError)  # of the disk: full, read-only, not there; its message names the path


_SAID_ELSEWHERE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE)


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

    def print_help(self, file: SupportsWrite[str] | None = None) -> None:
        if file is not None:
            super().print_help(file)
        elif code := _answered(self.format_help(), self.prog):
            self.exit(code)

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
    open_streams()
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
    try:
        with stoppable(parser.prog):
            try:
                from experiments.settings.load import load, to_yaml  # it imports nearly everything, which takes seconds

                config = load(arguments.config, arguments.overrides)
            except (Interrupted, KeyboardInterrupt) as error:
                parser.exit(_stopped(error, command))  # while somebody watches the time: writing may wait
            except Exception:
                if not received():  # a library may turn a signal into an error of its own, as OmegaConf does
                    raise
                parser.exit(_stopped(Interrupted(number=received()), command))
    except ConfigError as error:
        parser.exit(EXIT_USAGE, f"{parser.prog}: {error}\n")
    except OSError as error:  # no descriptor is left to read with
        parser.exit(EXIT_FAILED, f"{parser.prog}: {advice(error)}\n")
    except RuntimeError as error:
        if not out_of_threads(error):
            raise
        parser.exit(EXIT_FAILED, f"{parser.prog}: {no_processes()}\n")
    except (Interrupted, KeyboardInterrupt) as error:
        parser.exit(_stopped(error, command))
    if arguments.print_config:
        parser.exit(_answered(to_yaml(config), parser.prog))
    return config


def guarded(run: Callable[[], int], command: str) -> int:
    """Run a command; what its user can mend, or a signal, becomes one message and an exit code.

    Returns:
        The command's own exit code; 1 after an error; 128 and the signal's number after a signal.
    """
    open_streams()
    answers = Answers(sys.stdout)
    try:
        with stoppable(program(command)):
            try:
                with redirect_stdout(cast("IO[str]", SafeText(cast("IO[str]", answers)))), _quiet_threads():
                    code = run()
                    answers.flush()
                    return code
            except _MENDABLE as error:
                # A signal to all processes ends workers too, and their pool may say so first.
                return _stopped(Interrupted(number=received()), command) if received() else _failed(error, command)
            except (Interrupted, KeyboardInterrupt) as error:
                return _stopped(error, command)  # while the handlers are there: more signals may come
            except Exception:
                if not received():
                    raise
                return _stopped(Interrupted(number=received()), command)
    except (Interrupted, KeyboardInterrupt) as error:
        return _stopped(error, command)
    except OSError as error:  # no descriptor is left for the handlers
        return _failed(error, command)
    except RuntimeError as error:
        if not out_of_threads(error):
            raise
        return _failed(UserError(no_processes()), command)


def _failed(error: BaseException, command: str) -> int:
    said = advice(error) if isinstance(error, OSError) else str(error)
    with suppress(OSError):  # as where standard error is a file on a full disk
        print(visible(f"{program(command)}: {said}"), file=sys.stderr, flush=True)
    return EXIT_FAILED


def _answered(text: str, prog: str) -> int:
    """Write what a command is asked for before it runs; its exit code."""
    answers = Answers(sys.stdout)
    try:
        answers.write(text)
        answers.flush()
    except OutputError as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return EXIT_FAILED
    except Interrupted as error:
        return error.exit_code
    return EXIT_OK


def _stopped(error: Interrupted | KeyboardInterrupt, command: str) -> int:
    stopped = error if isinstance(error, Interrupted) else Interrupted()
    if str(stopped):
        with suppress(OSError):  # whoever read this may be gone, as a terminal that was closed
            print(f"\n{program(command)}: {stopped}", file=sys.stderr, flush=True)
    if _is_all_of(command):
        leave(stopped.exit_code)
    return stopped.exit_code


def _is_all_of(command: str) -> bool:
    """Say if this process is the command and nothing else, and not one that called it as a function."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return (spec is not None and spec.name == command) or Path(sys.argv[0]).name == SCRIPT


@contextmanager
def _quiet_threads() -> Iterator[None]:
    """Let a thread without room or descriptors, such as TensorBoard's, end without a traceback: the command says it."""
    before = threading.excepthook

    def hook(found: threading.ExceptHookArgs) -> None:
        if not (isinstance(found.exc_value, OSError) and found.exc_value.errno in _SAID_ELSEWHERE):
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
