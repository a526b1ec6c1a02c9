"""Look at what a data set holds: ``python -m experiments.preview CONFIG [key=value]``.

Draws the first window of up to four recordings, frames above IMU traces on one time axis, so that a wrong unit, a
swapped axis or two clocks that disagree can be seen before anything is trained.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.runtime.command_line import EXIT_OK, guarded, parse

if TYPE_CHECKING:
    from experiments.settings.schema import Config


_COMMAND = "experiments.preview"


def run(config: Config) -> list[Path]:
    """Draw the first windows of the pretraining data sets; returns the pictures' paths."""
    import numpy as np

    from experiments.artifacts.shards import dataset_directory, open_dataset
    from experiments.reports.build import write_if_stale
    from experiments.reports.preview.scene import draw_window
    from experiments.reports.shared.pictures import save_figure
    from experiments.runtime.run_folder import run_folder

    folder = run_folder(config) / "preview"
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    names = config.pretraining.names()
    for name in names:
        shards = open_dataset(config, name)
        write_if_stale(dataset_directory(config, name))
        _, first = np.unique(shards.table["recording"], return_index=True)
        for window in sorted(first)[:4]:
            path = folder / f"{f'{name}-' if len(names) > 1 else ''}window-{window:05d}.png"
            save_figure(draw_window(shards, int(window)), path, dpi=110)
            paths.append(path)
    return paths


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    config = parse(argv, _COMMAND, "Draw windows of the pretraining data set, frames above IMU traces.")

    def work() -> int:
        for path in run(config):
            print(path)
        return EXIT_OK

    return guarded(work, _COMMAND)


if __name__ == "__main__":
    sys.exit(main())
