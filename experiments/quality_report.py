"""The report on finished shards: ``python -m experiments.quality_report DIR [DIR ...]``.

Writes ``quality.html`` beside the shards, as ``build_shards`` does at its end; nothing is built or changed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.runtime.command_line import EXIT_OK, guarded, program

_COMMAND = "experiments.quality_report"


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; several directories, or one above them, can be given."""
    parser = argparse.ArgumentParser(prog=program(_COMMAND), description="The report on finished shards.")
    parser.add_argument("directory", nargs="+", type=Path, help="a folder with index.json, or one above such folders")
    arguments = parser.parse_args(argv)

    def work() -> int:
        from datamodules.shards.layout import INDEX
        from experiments.reports.build import write_report

        for given in arguments.directory:
            for directory in sorted(path.parent for path in given.rglob(INDEX)) or [given]:
                print(f"report: {write_report(directory)}")
        return EXIT_OK

    return guarded(work, _COMMAND)


if __name__ == "__main__":
    sys.exit(main())
