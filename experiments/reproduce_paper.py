"""Reproduction of the paper's Tables 3 to 5: ``python -m experiments.reproduce_paper [key=value ...]``.

Says first which data sets and weights are missing, all of them at once. Then trains the paper's systems on Ego4D and on
UESTC-MMEA-CL, evaluates them, and writes the tables with the paper's figures beside ours into ``runs/paper``. Each step
is a command that is printed. What is finished is kept, so the same command goes on where it was interrupted.
``docs/guides/reproduce-the-paper.md`` says where to get the data, how long it takes, and what differs from the paper.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.runtime.command_line import EXIT_OK, EXIT_USAGE, guarded
from experiments.runtime.errors import UserError
from experiments.settings.layers import ConfigError

if TYPE_CHECKING:
    from experiments.artifacts.needs import Need

_COMMAND = "experiments.reproduce_paper"
_PRETRAIN, _EVALUATE = "experiments.pretrain", "experiments.eval_ood"
_TRAINED_VIDEO = ("video_encoder.cache=false", "video_encoder.params.frozen=false")

Call = Callable[[str, str, Sequence[str]], None]


@dataclass(frozen=True)
class System:
    """A row of the paper's tables.

    Attributes:
        name: the system, a file of ``configs/systems``; tables call it so.
        settings: what the paper's recipe has besides.
        video: whose weights it needs: "videomae", "clip" or "".
    """

    name: str
    settings: tuple[str, ...] = ()
    video: str = "videomae"


SYSTEMS = (
    System("imu_only", ("pretraining.batch_size=512", "trainer.max_epochs=100"), ""),
    System("imu2clip", video="clip"),
    System("ablation_softmax"),
    System("ablation_cnn_rnn"),
    System("ablation_one_frame", video="clip"),
    System("paper"),
)
OWN = "paper"
_WITHIN_MMEA = ("imu2clip", OWN)  # those of Table 4
# The paper fine-tunes its own system only. It takes most of the time, so the others are not.
_ZERO_SHOT = ("majority", "zero_shot_target")
_PROBED = (*_ZERO_SHOT, "linear_probe")
_TUNED = ("finetune_paper", "supervised")


@dataclass(frozen=True)
class Evaluation:
    """One evaluation.

    Attributes:
        experiment: whom it tests.
        run: name of its folder.
        trained_on: experiment of the pretraining.
        systems: which of them; empty takes all.
        methods: what is compared.
    """

    experiment: str
    run: str
    trained_on: str
    systems: tuple[str, ...]
    methods: tuple[str, ...]


@dataclass(frozen=True)
class Choices:
    """What the command line chooses.

    Attributes:
        parkinsons: the experiment that stands for the paper's patients; "none" leaves them out.
        video: "trained" as in the paper, or "frozen": far cheaper.
        seeds: of pretraining; results are averaged.
        videomae, clip: files or folders of weights; empty takes the published ones.
        overrides: ``key=value`` for every step.
    """

    parkinsons: str = "ego4d_to_parkinsons"
    video: str = "trained"
    seeds: tuple[int, ...] = (0,)
    videomae: str = ""
    clip: str = ""
    overrides: tuple[str, ...] = ()

    def evaluations(self) -> list[Evaluation]:
        """List all evaluations, in their order."""
        found = []
        for name in ("ego4d_to_mmea", *(() if self.parkinsons == "none" else (self.parkinsons,))):
            to = f"to_{Path(name).stem.rpartition('to_')[2]}"
            found.append(Evaluation(name, to, "ego4d", (), _PROBED))
            found.append(Evaluation(name, f"{to}_tuned", "ego4d", (OWN,), _TUNED))
        return [*found, Evaluation("mmea", "to_mmea", "mmea", (), _ZERO_SHOT)]

    def evaluation(self, evaluation: Evaluation, checkpoints: Mapping[str, Sequence[str]]) -> list[str]:
        """Settings of one evaluation; ``checkpoints`` has those of each system."""
        systems = evaluation.systems or tuple(checkpoints)
        named = ", ".join(f"{name}: [{', '.join(map(json.dumps, checkpoints[name]))}]" for name in systems)
        return [
            f"run.name={evaluation.run}",
            "checkpoint=none",
            f"evaluation.methods=[{', '.join(evaluation.methods)}]",
            f"evaluation.checkpoints={{{named}}}",
            *self.overrides,
        ]

    def training(self, system: System, seed: int) -> list[str]:
        """Settings of one training."""
        learns = self.video == "trained" and system.video == "videomae"
        name = f"{system.name}_joint" if learns else system.name
        weights = {"videomae": self.videomae, "clip": self.clip, "": ""}[system.video]
        return [
            f"system={'paper_joint' if learns and system.name == 'paper' else system.name}",
            f"run.name={name}-seed{seed}",
            f"run.seed={seed}",
            *system.settings,
            *(_TRAINED_VIDEO if learns and system.name != "paper" else ()),
            *([f"video_encoder.weights={weights}"] if weights else []),
            *self.overrides,
        ]


def run(choices: Choices, call: Call | None = None, resamples: int = 10_000) -> Path:
    """Train, evaluate, and write the tables; returns the folder with the tables.

    Args:
        choices: what to do.
        call: runs a step, given module, experiment and settings; None runs it in a process of its own.
        resamples: of the intervals in the tables.

    Raises:
        UserError: data or weights are missing, or a step failed.
        ConfigError: a setting is wrong.
    """
    from experiments.reports.paper.beside import write_beside
    from experiments.reports.paper.tables import write_tables
    from experiments.runtime.console import console
    from experiments.runtime.run_folder import LAST, run_folder
    from experiments.runtime.steps import run_step
    from experiments.settings.load import load

    check(choices)
    steps = [("ego4d", system) for system in SYSTEMS]
    steps += [("mmea", system) for system in SYSTEMS if system.name in _WITHIN_MMEA]
    checkpoints: dict[str, dict[str, list[str]]] = {"ego4d": {}, "mmea": {}}

    def do(number: int, module: str, experiment: str, settings: Sequence[str]) -> None:
        command = shlex.join(("python", "-m", module, experiment, *settings))
        console.print(f"step {number} of {total}: {command}", highlight=False, markup=False, soft_wrap=True)
        (call or run_step)(module, experiment, settings)

    evaluations = choices.evaluations()
    total, number = len(steps) * len(choices.seeds) + len(evaluations), 0
    for experiment, system in steps:
        for seed in choices.seeds:
            settings, number = choices.training(system, seed), number + 1
            do(number, _PRETRAIN, experiment, settings)
            last = run_folder(load(experiment, settings)) / "checkpoints" / LAST
            checkpoints[experiment].setdefault(system.name, []).append(str(last))
    folders = []
    for evaluation in evaluations:
        settings, number = choices.evaluation(evaluation, checkpoints[evaluation.trained_on]), number + 1
        do(number, _EVALUATE, evaluation.experiment, settings)
        folders.append(run_folder(load(evaluation.experiment, settings)))
    out = folders[0].parent.parent / "paper"
    paths = [*write_beside(folders, out, resamples), *write_tables(folders, out, resamples)]
    print(paths[0].read_text(encoding="utf-8"))
    print("\n".join(map(str, paths)))
    return out


def check(choices: Choices) -> None:
    """Look for all data sets and weights, and print what was found.

    Raises:
        UserError: something is missing; all of it was printed.
        ConfigError: a setting is wrong.
    """
    from experiments.artifacts.needs import need_dataset, need_weights
    from experiments.runtime.devices import accelerator
    from experiments.settings.load import load
    from experiments.training.data import learns_from_video

    needs: dict[str, Need] = {}
    for experiment in dict.fromkeys(evaluation.experiment for evaluation in choices.evaluations()):
        config = load(experiment, choices.overrides)
        for target in config.evaluation.targets:
            asked = target.activities if target.labels == "own" else []
            for key, activities in ((config.pretraining.dataset, []), (target.dataset, asked)):
                if key not in needs:
                    needs[key] = need_dataset(config, key, activities)
    for system in SYSTEMS:
        config = load("ego4d", choices.training(system, choices.seeds[0]))
        encoder = config.video_encoder
        if (
            learns_from_video(config.loss)
            and (key := f"{encoder.name} {encoder.weights} {encoder.preset}") not in needs
        ):
            needs[key] = need_weights(config, f"--{system.video}")
    lines = [
        f"  found    {n.what}: {n.found}" if n.found else f"  MISSING  {n.what}: {n.missing}" for n in needs.values()
    ]
    missing = sum(not need.found for need in needs.values())
    if accelerator(config) == "cpu":
        lines.append(
            "  note     no GPU: on the paper's data, training VideoMAE would take years; the guide has figures"
        )
    print("\n".join(["the paper's tables need:", *lines]), flush=True)
    if missing:
        raise UserError(
            f"{missing} of {len(needs)} are missing (above), and nothing was built."
            " docs/guides/reproduce-the-paper.md says where to get each. The paper's patients are not public; without"
            " them: --parkinsons ego4d_to_weargait_pd (make paper PARKINSONS=ego4d_to_weargait_pd), or none"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog=f"python -m {_COMMAND}", description=__doc__.split("\n\n")[0])
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings of all steps")
    parser.add_argument("--check", action="store_true", help="only say which data and weights are missing")
    parser.add_argument(
        "--parkinsons",
        default=Choices.parkinsons,
        metavar="EXPERIMENT",
        help="whom 'Ego4D to PD' tests: ego4d_to_parkinsons (a manifest), ego4d_to_weargait_pd (public), none",
    )
    parser.add_argument(
        "--video", default="trained", choices=("trained", "frozen"), help="VideoMAE; the paper trains it"
    )
    parser.add_argument("--videomae", default="", metavar="PATH", help="its weights; the hub's by default")
    parser.add_argument("--clip", default="", metavar="PATH", help="its weights; timm's by default")
    parser.add_argument("--seeds", default="0", metavar="'0 1 ...'", help="of pretraining, averaged; 0 by default")
    arguments = parser.parse_args(argv)
    seeds = arguments.seeds.split()
    if not seeds or not all(seed.isdecimal() for seed in seeds):
        parser.error(f"--seeds: expected whole numbers, found '{arguments.seeds}'")

    def work() -> int:
        chosen = {name: getattr(arguments, name) for name in ("parkinsons", "video", "videomae", "clip")}
        choices = Choices(**chosen, seeds=tuple(map(int, seeds)), overrides=tuple(arguments.overrides))
        try:
            check(choices) if arguments.check else run(choices)
        except ConfigError as error:
            print(f"{parser.prog}: {error}", file=sys.stderr)
            return EXIT_USAGE
        return EXIT_OK

    return guarded(work, _COMMAND)


if __name__ == "__main__":
    sys.exit(main())
