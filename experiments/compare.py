"""Train several systems on one experiment and evaluate them side by side.

    python -m experiments.compare CONFIG [key=value ...] --systems "ours imu2clip" [--seeds "0 1"]

Each system and seed is a run of its own, ``runs/<experiment>/<system>-seed<n>``; what is trained already is kept, and
an interrupted training goes on. Weights and recordings that any of them needs are looked for before anything is built.
If a training fails, the others are evaluated all the same, and the exit code is 1.

The evaluation is the run ``compare-<systems>``, with the report, the tables and the figures that
``experiments.eval_ood`` writes; seeds of one system are averaged. ``docs/guides/systems.md`` lists the systems.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import MendableError
from experiments.runtime.command_line import EXIT_OK, EXIT_USAGE, guarded, program
from experiments.runtime.errors import UserError
from experiments.settings.layers import ConfigError, available

if TYPE_CHECKING:
    from experiments.settings.schema import Config


_COMMAND = "experiments.compare"


def run(experiment: str, systems: Sequence[str], seeds: Sequence[int], overrides: Sequence[str]) -> Path:
    """Check all, train what is not trained yet, evaluate what is trained; returns the evaluation's folder.

    Raises:
        UserError: something is missing that a training or the evaluation needs; then nothing was built. Or a training
            failed: then all others were evaluated, if there is any. Or the evaluation failed.
        ConfigError: a setting is wrong.
    """
    from experiments.reports.paper.tables import write_tables
    from experiments.runtime.console import console
    from experiments.runtime.run_folder import LAST, run_folder
    from experiments.runtime.steps import exit_code
    from experiments.settings.load import load

    trainings = {system: [_training(system, seed, overrides) for seed in seeds] for system in systems}
    configs = {system: [load(experiment, settings) for settings in trainings[system]] for system in systems}
    _refuse_other_windows(configs)
    _refuse_what_is_missing(configs, load(experiment, ["checkpoint=none", *overrides]))
    checkpoints: dict[str, list[str]] = {}
    failed = []
    for system in systems:
        for seed, settings, config in zip(seeds, trainings[system], configs[system], strict=True):
            console.print(f"training {system}, seed {seed}", highlight=False)
            if code := exit_code("experiments.pretrain", experiment, settings):
                failed.append(f"{system}, seed {seed} (exit code {code})")
            else:
                checkpoints.setdefault(system, []).append(str(run_folder(config) / "checkpoints" / LAST))
    not_trained = f"not trained: {', '.join(failed)}; the reason is above"
    if not checkpoints:
        raise UserError(f"nothing to evaluate; {not_trained}")
    named = ", ".join(f"{system}: [{', '.join(map(repr, files))}]" for system, files in checkpoints.items())
    evaluation = [
        f"run.name=compare-{'-'.join(systems)}",
        "checkpoint=none",
        f"evaluation.checkpoints={{{named}}}",
        *overrides,
    ]
    if code := exit_code("experiments.eval_ood", experiment, evaluation):
        raise UserError("; ".join([f"the evaluation failed: exit code {code}", *([not_trained] if failed else [])]))
    folder = run_folder(load(experiment, evaluation))
    paths = write_tables([folder], folder, 10_000)
    console.print(f"the paper's tables: {paths[0]}", highlight=False, soft_wrap=True)
    if failed:
        raise UserError(f"{not_trained}. The others are evaluated. The same command tries again")
    return folder


def _refuse_what_is_missing(configs: dict[str, list[Config]], evaluation: Config) -> None:
    """Before anything is built: weights, folders of recordings and methods, with a line for each problem."""
    from experiments.artifacts.readiness import evaluation_problems, training_problems
    from experiments.evaluation.adaptation import find_contender

    about: dict[str, list[str]] = {}
    for system, of_seeds in configs.items():
        for problem in training_problems(of_seeds[0]):
            about.setdefault(problem, []).append(system)
    problems = [f"{', '.join(named)}: {problem}" for problem, named in about.items()]
    problems += [problem for problem in evaluation_problems(evaluation) if problem not in about]
    if not evaluation.evaluation.targets:
        problems.append("evaluation.targets is empty: name at least one data set to evaluate on")
    for method in evaluation.evaluation.methods:
        try:
            find_contender(method)
        except MendableError as error:
            problems.append(str(error))
    if problems:
        raise UserError("\n  ".join(["nothing was built or trained yet, because this would fail:", *problems]))


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
    parser = argparse.ArgumentParser(prog=program(_COMMAND), description=__doc__.split("\n\n")[0])
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
