"""The console script ``imu-video-har``: each command of ``experiments`` as a sub-command.

The commands are the files of the folder, and their lines are those files' first lines: there is no second list.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from core.suggestions import did_you_mean
from experiments.runtime.command_line import EXIT_OK, EXIT_USAGE, SCRIPT, start_by_script

PACKAGE = Path(__file__).parents[1]


def commands() -> dict[str, str]:
    """List the commands by name, each with the first line of its module; nothing is imported."""
    found = {}
    for path in sorted(PACKAGE.glob("[a-z]*.py")):
        doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        line = doc.partition("\n")[0].partition(": ``")[0].rstrip(".")
        found[path.stem] = f"{line[:1].upper()}{line[1:]}"
    return found


def usage() -> str:
    """Return the help: how to call the script, and a line for each command."""
    lines = commands()
    width = max(map(len, lines))
    listed = "\n".join(f"  {name:<{width}}  {line}" for name, line in lines.items())
    return (
        f"usage: {SCRIPT} COMMAND ...\n\n"
        f"{SCRIPT} COMMAND --help says what a command takes; python -m experiments.COMMAND is the same.\n\n"
        f"commands:\n{listed}\n\n"
        "options:\n  --help     show this\n  --version  show the version"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the sub-command that the first argument names; ``-`` and ``_`` are the same in its name."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return EXIT_OK if arguments else EXIT_USAGE
    if arguments[0] == "--version":
        print(f"{SCRIPT} {_version()}")
        return EXIT_OK
    name = arguments[0].replace("-", "_")
    if name not in commands():
        hint = did_you_mean(name, commands())
        print(f"{SCRIPT}: no command '{arguments[0]}'{hint} ({SCRIPT} --help lists all)", file=sys.stderr)
        return EXIT_USAGE
    start_by_script()
    code: int = importlib.import_module(f"experiments.{name}").main(arguments[1:])
    return code


def _version() -> str:
    try:
        return version(SCRIPT)
    except PackageNotFoundError:  # a checkout that was not installed
        return "(not installed)"
