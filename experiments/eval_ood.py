"""Evaluate out of distribution: ``python -m experiments.eval_ood CONFIG [checkpoint=...] [key=value]``.

Writes ``report.html``, ``results.csv``, ``results.parquet``, ``results.md``, ``ledger.csv``, ``shift.csv``,
``splits.yaml``, ``eval_config.yaml``, ``figures/`` and ``tensorboard_eval/`` into the run's folder. Finished cells are
kept in ``cells.jsonl``: the same command continues an evaluation that was interrupted. The protocol is in
``docs/guides/evaluation.md``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from core.durable import write_text
from core.room import naming_the_path
from experiments.runtime.command_line import EXIT_OK, guarded, parse
from experiments.runtime.errors import UserError

if TYPE_CHECKING:
    from experiments.evaluation.features.embedding_map import EmbeddingMap
    from experiments.evaluation.plan import Unit
    from experiments.evaluation.targets import Target
    from experiments.reports.evaluation import Report
    from experiments.settings.schema import Config


_COMMAND = "experiments.eval_ood"


def run(config: Config) -> Path:
    """Evaluate; returns the path of ``results.csv``.

    Raises:
        UserError: the checkpoint is missing, a target can't be used, pretraining saw its people, or labels leak.
    """
    from experiments.runtime.run_folder import LAST, run_folder
    from experiments.runtime.sole_writer import sole_writer

    if not config.evaluation.targets:
        raise UserError(
            f"evaluation.targets is empty: experiment '{config.experiment}' names no data set to evaluate on; add to"
            " its configuration 'evaluation: {targets: [{name: HOW TABLES CALL IT, dataset: A KEY OF datasets}]}'"
        )
    folder = run_folder(config)
    hint = "" if config.checkpoint else f"checkpoint={folder / 'checkpoints' / LAST} takes the encoder from here"
    with sole_writer(folder, "evaluating", hint), naming_the_path(folder):
        return _evaluate(config, folder)


def _evaluate(config: Config, folder: Path) -> Path:
    from experiments.artifacts.shards import dataset_directory
    from experiments.evaluation.cell_cluster import computed_on
    from experiments.evaluation.cell_store import CellStore
    from experiments.evaluation.errors import EvaluationError, SplitError
    from experiments.evaluation.opening import open_evaluation
    from experiments.evaluation.perturbations import PerturbationError
    from experiments.evaluation.protocol import run_units
    from experiments.evaluation.shifts import ShiftRow, measure_shifts
    from experiments.evaluation.split_files import split_of, split_text
    from experiments.reports.build import write_if_stale
    from experiments.reports.evaluation import Report
    from experiments.reports.evaluation.evidence import Evidence
    from experiments.runtime.console import console, progress_bar
    from experiments.runtime.devices import set_threads
    from experiments.runtime.training_bar import quiet

    e = config.evaluation
    quiet()
    set_threads(config)
    try:
        opened = open_evaluation(config)
        chosen, targets, ledger, remarks = opened.methods, opened.targets, opened.ledger, opened.remarks
        for key in {key for t in config.evaluation.targets for key in (t.dataset, *t.support, *t.placements)}:
            write_if_stale(dataset_directory(config, key))
        refused = ledger.refused(e, chosen)
        for line in ledger.in_short(refused):
            console.print(line, highlight=False, markup=False)
        units = opened.plan(config)
        audit = {target.name: _audit(config, target) for target in targets}
        store = CellStore(folder / "cells.jsonl")
        for message in [*store.ignored, *remarks]:
            console.print(message, highlight=False, markup=False)
        with store, progress_bar() as bar:
            task = bar.add_task("evaluating", total=None)

            def progress(done: int, total: int, what: str) -> None:
                bar.update(task, completed=done, total=total, description=what)

            elsewhere = partial(computed_on, e.scheduler) if e.scheduler else None
            cells = run_units(config, units, store.get, store.add, progress, elsewhere)
            shifts: list[ShiftRow] = []
            if e.shift:
                measuring = bar.add_task("sizes of shift", total=None)
                shifts = measure_shifts(units, lambda done, all_: bar.update(measuring, completed=done, total=all_))
    except (EvaluationError, SplitError, PerturbationError) as error:
        raise UserError(str(error)) from error
    report = Report(
        title=f"{config.experiment}/{config.run.name}",
        results=cells,
        resamples=e.bootstrap,
        checkpoint="; ".join(
            f"{s.name or 'own'}: SHA-256 {s.checkpoint}..." for s in opened.systems if s.model is not None
        ),
        simulated_targets=frozenset(target.name for target in targets if target.shards.simulated),
        pretraining_simulated=any(s.model is not None and s.model.settings.simulated for s in opened.systems),
        incomplete=tuple(f"{s.name or 'own'} is of {s.incomplete}" for s in opened.systems if s.incomplete),
        seen_allowed=e.allow_seen_subjects,
        remarks=remarks,
        maps=_maps(config, units),
        audit=audit,
        evidence=Evidence(
            ledger, refused, tuple(shifts), frozenset(m.name.partition("+")[0] for m in chosen if m.checkpoint)
        ),
        correction="westfall_young" if e.correction == "westfall_young" else "holm",
    )
    splits = [split_of(config, target, target.folds(e)) for target in targets]
    write_text(folder / "splits.yaml", "---\n".join(map(split_text, splits)))
    return _write(config, report, folder)


def _maps(config: Config, units: Sequence[Unit]) -> dict[str, EmbeddingMap]:
    """Where each target's windows lie in the feature space of the run's own encoder."""
    from experiments.evaluation.features.embedding_map import draw_windows, make_embedding_map

    maps: dict[str, EmbeddingMap] = {}
    for unit in units:
        features, name = unit.features, unit.target.name
        if name in maps or features.model is None or not config.evaluation.map_windows:
            continue
        windows, table = draw_windows(features.windows, config.evaluation.map_windows), unit.target.shards.table
        maps[name] = make_embedding_map(
            features.pretrained[windows],
            table["activity"][windows],
            table["subject"][windows],
            table["device"][windows],
            table["placement"][windows],
            drawn_from=len(features.windows),
        )
    return maps


def _audit(config: Config, target: Target) -> list[str]:
    """Findings in plain words; an error where labels leak and that is not allowed."""
    from experiments.evaluation.audit.checks import audit_target

    if not config.evaluation.audit:
        return ["not audited: evaluation.audit is off"]
    return audit_target(target, config.evaluation)


def _write(config: Config, report: Report, folder: Path) -> Path:
    from experiments.reports.evaluation import figures, markdown, terminal_answer
    from experiments.reports.evaluation.board import write_board
    from experiments.reports.evaluation.evidence_files import write_ledger, write_shifts
    from experiments.reports.evaluation.page import write_html
    from experiments.reports.shared.drawing import drawing
    from experiments.runtime.board_command import board_command
    from experiments.runtime.console import standard_output
    from experiments.runtime.processors import cores
    from experiments.settings.load import to_yaml
    from experiments.statistics import results

    with drawing(figures.DPI, config.evaluation.workers or cores()) as hand_on:
        csv, _ = results.write(results.rows(report.results), folder)
        write_ledger(report.evidence, folder)
        write_shifts(report.evidence, folder)
        made = figures.figures(report, hand_on)
    figures.save(made, folder / "figures")
    curves = [f"figures/{name}.png" for name in made if name.startswith("answer_")]
    write_text(folder / "results.md", markdown(report, curves))
    write_text(folder / "eval_config.yaml", to_yaml(config))
    page = folder / "report.html"
    write_html(report, made, page)
    write_board(report, made, folder / "tensorboard_eval")
    out = standard_output()
    if not out.is_terminal:
        out.width = 110
    for part in terminal_answer(report):
        out.print(part, highlight=False)
    out.print(
        f"report: {page}\nnumbers: {csv}\nnext: open the report in a browser, or {board_command(config)}",
        highlight=False,
        soft_wrap=True,
    )
    return csv


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
