"""Compute the video encoder's features of an experiment's clips: ``python -m experiments.features CONFIG [key=value]``.

They are what ``experiments.pretrain`` would compute on its first run, in the same place, so that it finds them: the
command lets a machine with a GPU do it beforehand. Interrupted, it goes on where it stopped; run again, it compares
every byte with its checksum. Exit code 1 names what is damaged.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from experiments.runtime.command_line import EXIT_FAILED, EXIT_OK, guarded, parse
from experiments.runtime.errors import UserError

if TYPE_CHECKING:
    from datamodules.features.cache import FeatureCache
    from experiments.settings.schema import Config


_COMMAND = "experiments.features"


def run(config: Config) -> list[str]:
    """Compute what is missing, check all of it, and say what is there.

    Returns:
        What is damaged, a line each.

    Raises:
        UserError: the experiment learns nothing from video, or encodes its clips anew in every step.
    """
    from datamodules.features.mixed import MixedFeatures
    from experiments.artifacts.shards import dataset_directory
    from experiments.reports.build import write_if_stale
    from experiments.runtime.devices import set_threads
    from experiments.training.data import learns_from_video, prepare_data

    if not learns_from_video(config.loss):
        raise UserError(f"experiment '{config.experiment}' learns nothing from video: there are no features to compute")
    if not config.video_encoder.cache:
        raise UserError("video_encoder.cache is false: clips are encoded in every step, and no features are kept")
    set_threads(config)
    _, _, features = prepare_data(config)
    assert features is not None
    for name in config.pretraining.names():
        write_if_stale(dataset_directory(config, name))
    caches = features.parts if isinstance(features, MixedFeatures) else [features]
    return [problem for cache in caches for problem in _verify(cache)]


def _verify(features: FeatureCache) -> list[str]:
    problems = features.verify()
    n, views, frames, width = features.shape
    state = f"{len(problems)} problems; delete the folder to have it made anew" if problems else "all good"
    how = f", computed in {features.computed}" if features.computed else ""
    print(
        f"{features.directory}: {n} windows x {views} views of {frames} frames, {width} wide"
        f" ({features.nbytes / 1e6:,.1f} MB{how}): {state}"
    )
    return problems


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    config = parse(argv, _COMMAND, "Compute and check the video encoder's features that pretraining reads.")

    def work() -> int:
        problems = run(config)
        for problem in problems:
            print(problem, file=sys.stderr)
        return EXIT_FAILED if problems else EXIT_OK

    return guarded(work, _COMMAND)


if __name__ == "__main__":
    sys.exit(main())
