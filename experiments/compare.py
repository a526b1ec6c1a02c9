"""Train several systems on one experiment and evaluate them side by side.

    python -m experiments.compare CONFIG [key=value ...] --systems "ours imu2clip" [--seeds "0 1"]

Each system and seed is a run of its own, ``runs/<experiment>/<system>-seed<n>``; what is trained already is kept, and
an interrupted training goes on. The evaluation is the run ``compare-<systems>``, with the report, the tables and the
figures that ``experiments.eval_ood`` writes; seeds of one system are averaged. ``docs/guides/systems.md`` lists the
systems.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.runtime.command_line import EXIT_OK, EXIT_USAGE, guarded
from experiments.runtime.errors import UserError
from experiments.settings.layers import ConfigError, available

if TYPE_CHECKING:
    from experiments.settings.schema import Config


_COMMAND = "experiments.compare"


def run(experiment: str, systems: Sequence[str], seeds: Sequence[int], overrides: Sequence[str]) -> Path:
    """Train what is not trained yet, evaluate all, print the tables; returns the evaluation's folder.

    Raises:
        UserError: a training or the evaluation failed; its own message is above.
        ConfigError: a setting is wrong.
    """
    from experiments.reports.paper.tables import write_tables
    from experiments.runtime.console import console
    from experiments.runtime.run_folder import LAST, run_folder
    from experiments.runtime.steps import run_step
    from experiments.settings.load import load

    trainings = {system: [_training(system, seed, overrides) for seed in seeds] for system in systems}
    configs = {system: [load(experiment, settings) for settings in trainings[system]] for system in systems}
    _refuse_other_windows(configs)
    checkpoints = {}
    for system in systems:
        for number, settings in enumerate(trainings[system]):
            console.print(f"training {system}, seed {seeds[number]}", highlight=False)
            run_step("experiments.pretrain", experiment, settings)
        checkpoints[system] = [str(run_folder(config) / "checkpoints" / LAST) for config in configs[system]]
    named = ", ".join(f"{system}: [{', '.join(map(repr, files))}]" for system, files in checkpoints.items())
    evaluation = [
        f"run.name=compare-{'-'.join(systems)}",
        "checkpoint=none",
        f"evaluation.checkpoints={{{named}}}",
        *overrides,
    ]
    run_step("experiments.eval_ood", experiment, evaluation)
    folder = run_folder(load(experiment, evaluation))
    paths = write_tables([folder], folder, 10_000)
    print(paths[0].read_text(encoding="utf-8"))
    print("\n".join(map(str, paths)))
    return folder


def _training(system: str, seed: int, overrides: Sequence[str]) -> list[str]:
    return [f"system={system}", f"run.seed={seed}", f"run.name={system}-seed{seed}", *overrides]


def _refuse_other_windows(configs: dict[str, list[Config]]) -> None:
    """Before anything is trained: all systems are tested on the same windows."""
    shapes = {system: (c[0].window.samples, c[0].window.imu_rate_hz) for system, c in configs.items()}
    if len(set(shapes.values())) > 1:
        said = ", ".join(f"{system}: {n} samples at {rate:g} Hz" for system, (n, rate) in shapes.items())
        raise UserError(f"window: systems take windows of different length or rate ({said}); expected the same")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog=f"python -m {_COMMAND}", description=__doc__.split("\n\n")[0])
    parser.add_argument("config", help=f"{', '.join(available())}, or a .yaml file")
    known = ", ".join(available("system"))
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="settings of all trainings and the evaluation"
    )
    parser.add_argument("--systems", required=True, metavar="'A B ...'", help=f"some of: {known}; or .yaml files")
    parser.add_argument("--seeds", default="0", metavar="'0 1 ...'", help="of pretraining, averaged; 0 by default")
    arguments = parser.parse_args(argv)
    systems, seeds = arguments.systems.split(), arguments.seeds.split()
    if len(set(systems)) < len(systems) or not systems:
        parser.error(f"--systems: expected different names, found '{arguments.systems}'")
    if not seeds or not all(seed.isdecimal() for seed in seeds):
        parser.error(f"--seeds: expected whole numbers, found '{arguments.seeds}'")

    def work() -> int:
        try:
            run(arguments.config, systems, [int(seed) for seed in seeds], arguments.overrides)
        except ConfigError as error:
            print(f"{parser.prog}: {error}", file=sys.stderr)
            return EXIT_USAGE
        return EXIT_OK

    return guarded(work, _COMMAND)


if __name__ == "__main__":
    sys.exit(main())
