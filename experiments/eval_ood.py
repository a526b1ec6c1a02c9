"""Evaluate out of distribution: ``python -m experiments.eval_ood CONFIG [checkpoint=...] [key=value]``.

Writes ``results.csv``, ``results.parquet``, ``results.md``, ``eval_config.yaml``, ``figures/`` and
``tensorboard_eval/`` into the run's folder. Finished cells are kept in ``cells.jsonl``: the same command continues an
evaluation that was interrupted. The protocol is in ``docs/evaluation.md``.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from rich.console import Console
from torch.utils.tensorboard import SummaryWriter

from datamodules.shards.layout import file_digest
from datamodules.splits import LeakError, SplitError
from experiments import figures, results
from experiments.cell_store import CellStore
from experiments.command_line import EXIT_OK, UserError, guarded, parse
from experiments.config import to_yaml
from experiments.datasets import console, open_dataset, progress_bar
from experiments.devices import accelerator, set_threads
from experiments.methods import find_method
from experiments.protocol import Target, run_protocol
from experiments.report import METRICS, Report, markdown, terminal_tables
from experiments.run_folder import LAST, run_folder
from experiments.schema import Config
from experiments.target_features import EvaluationError
from experiments.trainers import quiet
from experiments.video_tower import open_features
from experiments.zero_shot import NoPrototypesError, Prototypes, build_prototypes
from lightning_modules.contrastive import ContrastivePretraining

_COMMAND = "experiments.eval_ood"


def run(config: Config) -> Path:
    """Evaluate; returns the path of ``results.csv``.

    Raises:
        UserError: the checkpoint is missing, a target can't be used, or pretraining saw its subjects.
    """
    e = config.evaluation
    if not e.targets:
        raise UserError(
            f"evaluation.targets is empty: experiment '{config.experiment}' names no data set to evaluate on; add to"
            " its configuration 'evaluation: {targets: [{name: HOW TABLES CALL IT, dataset: A KEY OF datasets}]}'"
        )
    quiet()
    set_threads(config)
    folder = run_folder(config)
    try:
        chosen = [find_method(name) for name in e.methods]
        model, checkpoint, digest = None, "", ""
        if any(method.checkpoint for method in chosen):
            path = _checkpoint(config)
            model, digest = ContrastivePretraining.load_pretrained(path), file_digest(path)[:16]
            _refuse_other_windows(config, model, path)
            checkpoint = f"{path} (SHA-256 {digest}...)"
        prototypes, remarks = None, []
        if model is not None and any(method.prototypes for method in chosen):
            try:
                prototypes = _prototypes(config, model)
            except NoPrototypesError as error:
                skipped = [method.name for method in chosen if method.prototypes]
                remarks.append(f"left out: {', '.join(skipped)} ({error})")
                console.print(remarks[-1], highlight=False, markup=False)
                kept = [name for name in e.methods if name not in skipped]
                config = dataclasses.replace(config, evaluation=dataclasses.replace(e, methods=kept))
        targets = [Target(t.name or t.dataset, open_dataset(config, t.dataset)) for t in e.targets]
        store = CellStore(folder / "cells.jsonl")
        for message in store.ignored:
            console.print(message, highlight=False, markup=False)
        with progress_bar() as bar:
            task = bar.add_task("evaluation", total=None)

            def progress(done: int, total: int, what: str) -> None:
                bar.update(task, completed=done, total=total, description=what)

            cells = run_protocol(config, store.get, store.add, progress, targets, model, digest, prototypes)
    except (EvaluationError, LeakError, SplitError) as error:
        raise UserError(str(error)) from error
    report = Report(
        title=f"{config.experiment}/{config.run.name}",
        results=cells,
        resamples=e.bootstrap,
        checkpoint=checkpoint,
        simulated_targets=frozenset(target.name for target in targets if target.shards.simulated),
        pretraining_simulated=model is not None and model.settings.simulated,
        seen_allowed=e.allow_seen_subjects,
        remarks=remarks,
    )
    return _write(config, report, folder)


def _checkpoint(config: Config) -> Path:
    path = Path(config.checkpoint) if config.checkpoint else run_folder(config) / "checkpoints" / LAST
    if path.is_file():
        return path
    if config.checkpoint:
        raise UserError(f"checkpoint: no file '{path}'")
    raise UserError(
        f"no checkpoint '{path}' yet: run `make pretrain EXPERIMENT={config.experiment}` first, or name one with"
        " checkpoint=..."
    )


def _refuse_other_windows(config: Config, model: ContrastivePretraining, path: Path) -> None:
    """Before any shard is built: the checkpoint's encoder can't take windows of another length or rate."""
    trained, window = model.settings.imu_input, config.window
    if (trained["samples"], trained["rate_hz"]) != (window.samples, window.imu_rate_hz):
        raise UserError(
            f"window: the settings give {window.samples} samples at {window.imu_rate_hz:g} Hz, checkpoint '{path}' was"
            f" trained on {trained['samples']} samples at {trained['rate_hz']:g} Hz; set window.duration_s and"
            " window.imu_rate_hz as they were there"
        )


def _prototypes(config: Config, model: ContrastivePretraining) -> Prototypes:
    """Prototypes from the source's labelled videos, by the very video tower that the checkpoint was trained with."""
    shards = open_dataset(config, config.pretraining.dataset)
    features = open_features(config, shards, config.pretraining.dataset)
    trained_with = (model.settings.video_encoder or {}).get("fingerprint")
    if trained_with != features.encoder_fingerprint:
        raise UserError(
            f"the checkpoint was trained with video tower {str(trained_with)[:12]}..., the settings give"
            f" {features.encoder_fingerprint[:12]}...: use the settings of its pretraining, or leave zero_shot out of"
            " evaluation.methods"
        )
    return build_prototypes(model, shards, features, "cuda" if accelerator(config) == "gpu" else "cpu")


def _write(config: Config, report: Report, folder: Path) -> Path:
    csv, parquet = results.write(results.rows(report.results), folder)
    text = markdown(report)
    results.write_text(text, folder / "results.md")
    results.write_text(to_yaml(config), folder / "eval_config.yaml")
    made = figures.figures(report)
    paths = figures.save(made, folder / "figures")
    _tensorboard(report, text, made, folder / "tensorboard_eval")
    out = Console()
    if not out.is_terminal:
        out = Console(width=110)
    for table in terminal_tables(report):
        out.print(table)
    written = [csv, parquet, folder / "results.md", folder / "eval_config.yaml", *paths, folder / "tensorboard_eval"]
    out.print("\n".join(map(str, written)), highlight=False, soft_wrap=True)
    out.print("look at it: make tensorboard", highlight=False)
    return csv


def _tensorboard(report: Report, text: str, made: dict[str, Figure], folder: Path) -> None:
    """The table, the figures, and the curves as scalars over k; replaces what an earlier evaluation wrote."""
    if folder.is_dir():
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
    with SummaryWriter(str(folder)) as writer:
        writer.add_text("evaluation/table", text)
        for name, figure in made.items():
            writer.add_figure(f"evaluation/{name}", figure)
        for dataset in report.datasets():
            for metric in METRICS:
                for method, values in report.estimates(dataset, metric).items():
                    for shots, value in values.items():
                        writer.add_scalar(f"{figures.file_name(dataset)}_{metric}/{method}", value.mean, shots)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    config = parse(
        argv, _COMMAND, "Evaluate a pretrained IMU encoder on subjects, devices and populations it never saw."
    )

    def work() -> int:
        run(config)
        return EXIT_OK

    return guarded(work, _COMMAND)


if __name__ == "__main__":
    sys.exit(main())
