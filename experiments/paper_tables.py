"""The paper's tables and figure from finished evaluations: ``python -m experiments.paper_tables RUN [RUN ...]``.

A RUN is a folder that ``make eval-ood`` wrote ``results.parquet`` into, e.g. ``runs/simulator/default``; several runs
are several systems, compared side by side. Writes ``paper_tables.md``, ``paper_tables.csv`` and ``paper_figure_3.png``
into ``--out``. With ``--published`` also ``beside_the_paper.md`` and ``.csv``: the rows and columns of the paper's own
tables, each value beside the paper's.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.runtime.command_line import EXIT_OK, guarded, program

_COMMAND = "experiments.paper_tables"


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog=program(_COMMAND), description=__doc__.split("\n\n")[0])
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a folder with results.parquet")
    parser.add_argument("--out", type=Path, help="folder to write to; the first RUN by default")
    parser.add_argument("--bootstrap", type=int, default=10_000, help="resamples for the intervals")
    parser.add_argument("--published", action="store_true", help="the paper's own tables too, its figures beside ours")
    arguments = parser.parse_args(argv)

    def work() -> int:
        from experiments.reports.paper.beside import write_beside
        from experiments.reports.paper.tables import write_tables

        out = arguments.out or arguments.runs[0]
        paths = write_tables(arguments.runs, out, arguments.bootstrap)
        if arguments.published:
            paths = write_beside(arguments.runs, out, arguments.bootstrap) + paths
        print(paths[0].read_text(encoding="utf-8"))
        print("\n".join(map(str, paths)))
        return EXIT_OK

    return guarded(work, _COMMAND)


if __name__ == "__main__":
    sys.exit(main())
