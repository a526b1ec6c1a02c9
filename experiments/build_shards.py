"""Build the shards of an experiment's data sets: ``python -m experiments.build_shards CONFIG [key=value]``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from experiments.runtime.command_line import EXIT_OK, guarded, parse
from experiments.runtime.errors import UserError

if TYPE_CHECKING:
    from experiments.settings.schema import Config


_COMMAND = "experiments.build_shards"


def run(config: Config) -> None:
    """Build every data set; what is there already is kept.

    Raises:
        UserError: the experiment has no data sets.
    """
    from experiments.artifacts.shards import build_dataset, dataset_directory
    from experiments.reports.build import FILE, write_if_stale

    if not config.datasets:
        raise UserError(f"experiment '{config.experiment}' has no 'datasets'")
    for key in config.datasets:
        report = build_dataset(config, key)
        write_if_stale(dataset_directory(config, key))
        if not report.built:
            print(report)
        print(f"report: {dataset_directory(config, key) / FILE}")
        print(f"check them with: python -m experiments.check_shards {dataset_directory(config, key)}")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    config = parse(argv, _COMMAND, "Cut an experiment's recordings into windows and write them as HDF5 shards.")

    def work() -> int:
        run(config)
        return EXIT_OK

    return guarded(work, _COMMAND)


if __name__ == "__main__":
    sys.exit(main())
