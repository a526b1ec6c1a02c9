"""A head for a labelled study: ``python -m experiments.adapt EXPERIMENT [key=value] [--personal SUBJECT]``.

Takes the encoder of the experiment's run and the labelled data of its evaluation target, and writes
``runs/<experiment>/<name>/head/``: all that ``experiments.predict`` needs, with a model card. The estimate in it is for
the next person: each person of the study is left out once. With ``--personal`` the head is for one person of the study,
of whom some windows are labelled. ``docs/guides/predicting.md`` explains it.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.runtime.command_line import EXIT_OK, EXIT_USAGE, guarded, program
from experiments.runtime.errors import UserError
from experiments.settings.layers import ConfigError, available

if TYPE_CHECKING:
    from experiments.settings.evaluation import TargetConfig
    from experiments.settings.schema import Config

_COMMAND = "experiments.adapt"
_METHODS = ("hybrid_logistic", "linear_probe", "handcrafted_logistic")
HEAD_FOLDER = "head"


def run(
    config: Config, method: str, target: str = "", folder: Path | None = None, personal: str = "", shots: int = 0
) -> Path:
    """Fit, save and describe a head; returns its folder.

    Args:
        config: as for ``experiments.eval_ood``.
        method: one of ``hybrid_logistic``, ``linear_probe``, ``handcrafted_logistic``.
        target: name of the evaluation target whose labels are used; empty takes the first.
        folder: for the head; None takes ``head`` in the run's folder, or ``head-NAME`` for one person.
        personal: name of a person for whom the head is fitted, by labels of that person's earlier recordings; empty
            fits it for everybody.
        shots: the person's labelled windows per activity; 0 takes all earlier ones.

    Raises:
        UserError: there is no checkpoint or no such target, or its data can't be used.
    """
    from core.durable import write_text
    from core.shown_text import visible
    from experiments.evaluation.errors import EvaluationError, SplitError
    from experiments.evaluation.methods import find_method
    from experiments.evaluation.systems import load_checkpoints
    from experiments.evaluation.target_data import open_targets
    from experiments.inference.fitting import fit_head, study_of
    from experiments.inference.head import save_head
    from experiments.inference.personal import fit_personal_head
    from experiments.reports.prediction.card import CARD, model_card
    from experiments.runtime.console import console, progress_bar
    from experiments.runtime.devices import set_threads
    from experiments.runtime.run_folder import run_folder
    from experiments.runtime.sole_writer import turn, writing_lock

    set_threads(config)
    chosen = _target(config, target)
    evaluation = replace(config.evaluation, checkpoints={}, targets=[replace(chosen, support=[], placements=[])])
    config = replace(config, evaluation=evaluation)
    try:
        checkpoints = load_checkpoints(config, [find_method(method)])
        study = study_of(open_targets(config)[0])
        with progress_bar() as bar:
            task = bar.add_task("fitting heads", total=None)
            checkpoint = checkpoints[0] if checkpoints else None

            def progress(done: int, total: int) -> None:
                bar.update(task, completed=done, total=total)

            if personal:
                head, estimate = fit_personal_head(config, study, checkpoint, method, personal, shots, progress)
            else:
                head, estimate = fit_head(config, study, checkpoint, method, progress)
    except (EvaluationError, SplitError) as error:
        raise UserError(str(error)) from error
    name = f"{HEAD_FOLDER}-{re.sub(r'[^0-9A-Za-z_.-]+', '_', personal)}" if personal else HEAD_FOLDER
    folder = folder or run_folder(config) / name
    folder.mkdir(parents=True, exist_ok=True)
    with turn(writing_lock(folder), f"writes into {folder}"):  # files of one head only
        save_head(head, folder)
        write_text(folder / CARD, visible(model_card(head)))
    for remark in estimate.remarks:
        console.print(remark, highlight=False, markup=False)
    return folder


def _target(config: Config, name: str) -> TargetConfig:
    from core.suggestions import did_you_mean

    targets = {target.name or target.dataset: target for target in config.evaluation.targets}
    if not targets:
        raise UserError(
            f"evaluation.targets is empty: experiment '{config.experiment}' names no labelled data set; add to its"
            " configuration 'evaluation: {targets: [{dataset: A KEY OF datasets}]}'"
        )
    if name and name not in targets:
        raise UserError(
            f"--target: there is no target '{name}'{did_you_mean(name, targets)} (there are: {', '.join(targets)})"
        )
    return targets[name] if name else next(iter(targets.values()))


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog=program(_COMMAND), description="Fit a head on a labelled study, and save it with a model card."
    )
    parser.add_argument("config", nargs="?", default="simulator", help=f"{', '.join(available())}, or a .yaml file")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings that differ, e.g. run.seed=1")
    parser.add_argument("--method", default=_METHODS[0], choices=_METHODS, help="default: %(default)s")
    parser.add_argument("--target", default="", metavar="NAME", help="of evaluation.targets; default: the first")
    parser.add_argument(
        "--personal",
        default="",
        metavar="SUBJECT",
        help="fit for this person, by labels of the person's earlier recordings too; judged on the later ones",
    )
    parser.add_argument(
        "--shots",
        type=int,
        default=0,
        metavar="K",
        help="with --personal: labels per activity; default: all",
    )
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="default: 'head' in the run's folder")
    arguments = parser.parse_args(argv)
    if "=" in arguments.config:  # `COMMAND run.seed=1` means the default experiment
        arguments.overrides.insert(0, arguments.config)
        arguments.config = "simulator"
    if arguments.shots < 0 or (arguments.shots and not arguments.personal):
        parser.error("--shots is the number of labelled windows of --personal SUBJECT, at least 1")

    def work() -> int:
        from experiments.settings.load import load
        from experiments.settings.privacy import person_of

        try:
            config = load(arguments.config, arguments.overrides)
            personal = person_of(config, arguments.personal, "--personal")
        except ConfigError as error:
            print(f"{parser.prog}: {error}", file=sys.stderr)
            return EXIT_USAGE
        folder = run(config, arguments.method, arguments.target, arguments.output, personal, arguments.shots)
        card = folder / "README.md"
        print(card.read_text(encoding="utf-8").partition("\n\n## ")[0])
        print(f"head: {folder}\nmodel card: {card}")
        print(f"next: {program('experiments.predict')} {folder} RECORDING  (its --help says how columns are named)")
        return EXIT_OK

    return guarded(work, _COMMAND)


if __name__ == "__main__":
    sys.exit(main())
