"""Write split files: ``python -m experiments.split_files CONFIG [key=value] [--into FOLDER]``.

One YAML file a target: who develops, pretrains, gives labels and is tested, read off the evaluation's own folds.
Shards are built where they are missing. Every evaluation writes the same as ``splits.yaml``.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from core.durable import write_text
from experiments.runtime.command_line import EXIT_OK, EXIT_USAGE, guarded
from experiments.settings.layers import ConfigError, available

_COMMAND = "experiments.split_files"


def run(experiment: str, overrides: Sequence[str], folder: Path) -> list[Path]:
    """Write the split file of each target; returns their paths.

    Raises:
        UserError: a data set can't be built.
        SplitError: a target can't be split.
        ConfigError: a setting can't be used.
    """
    from experiments.evaluation.split_files import split_of, split_text
    from experiments.evaluation.target_data import open_targets
    from experiments.settings.load import load

    config = load(experiment, overrides)
    kept = [text for text in overrides if not text.startswith("paths.")]
    paths = []
    targets = open_targets(config)
    for target in targets:
        slug = re.sub(r"[^a-z0-9]+", "_", target.name.lower()).strip("_")
        path = folder / f"{config.experiment}{f'-{slug}' if len(targets) > 1 else ''}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, split_text(split_of(config, target, target.folds(config.evaluation), kept)))
        paths.append(path)
    return paths


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog=f"python -m {_COMMAND}", description=__doc__.split("\n\n")[0])
    parser.add_argument("config", help=f"{', '.join(available())}, or a .yaml file")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings that differ")
    parser.add_argument(
        "--into", type=Path, default=Path("docs/splits"), metavar="FOLDER", help="docs/splits by default"
    )
    arguments = parser.parse_args(argv)

    def work() -> int:
        try:
            paths = run(arguments.config, arguments.overrides, arguments.into)
        except ConfigError as error:
            print(f"{parser.prog}: {error}", file=sys.stderr)
            return EXIT_USAGE
        print("\n".join(map(str, paths)))
        return EXIT_OK

    return guarded(work, _COMMAND)


if __name__ == "__main__":
    sys.exit(main())
