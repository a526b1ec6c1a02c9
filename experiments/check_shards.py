"""Verify shards, byte by byte: ``python -m experiments.check_shards DIR``; exit code 1 names what is wrong."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.runtime.command_line import EXIT_FAILED, EXIT_OK, guarded, program

_COMMAND = "experiments.check_shards"


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; several directories, or one above them, can be given."""
    parser = argparse.ArgumentParser(prog=program(_COMMAND), description="Verify HDF5 shards.")
    parser.add_argument("directory", nargs="+", type=Path, help="a folder with index.json, or one above such folders")
    arguments = parser.parse_args(argv)

    def work() -> int:
        from datamodules.shards.verify import verify

        found = 0
        for given in arguments.directory:
            for directory in _shard_folders(given):
                problems = verify(directory)
                found += len(problems)
                for problem in problems:
                    print(problem, file=sys.stderr)
                print(f"{directory}: {f'{len(problems)} problems' if problems else 'all good'}")
        return EXIT_FAILED if found else EXIT_OK

    return guarded(work, _COMMAND)


def _shard_folders(given: Path) -> list[Path]:
    """The folder itself, or those below it that hold an index; a folder without any is verified as it is."""
    if (given / "index.json").is_file():
        return [given]
    return sorted(path.parent for path in given.rglob("index.json")) or [given]


if __name__ == "__main__":
    sys.exit(main())
