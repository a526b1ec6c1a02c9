"""The paper's tables and figure: several finished evaluations side by side.

The tables have the shape of those in Cheshmi et al. 2025. Table 3 is the few-shot balanced accuracy of each system,
probed and fine-tuned, on each target. Table 4 is zero-shot. Table 5 is the probe with the most labels, one row per
system, for ablations. Figure 3 shows the curves of Table 3 beside supervised training from scratch. There is one
difference from the paper: every value is a mean over subjects with its 95 % interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from core.durable import write_text
from core.markdown_text import row, rule
from core.shown_text import safe_frame, visible
from experiments.reports.shared.pictures import save_figure
from experiments.runtime.errors import UserError
from experiments.statistics.intervals import bootstrap_interval
from experiments.statistics.results import read

_FEW_SHOT = {"linear_probe": "probe", "finetune": "fine-tuned", "finetune_paper": "fine-tuned, paper's rates"}
_CURVES = {**_FEW_SHOT, "supervised": "supervised from scratch"}
_LINES = {"linear_probe": ("-", "o"), "finetune": ("--", "s"), "finetune_paper": ("-.", "D"), "supervised": (":", "^")}
_ZERO_SHOT = {"zero_shot": "source videos", "zero_shot_target": "target videos", "zero_shot_text": "text"}
_NEEDED = (
    *("dataset", "method", "system", "shots", "shots_unit", "perturbation", "metric", "value", "subject", "draw"),
    "simulated",
)
_KEYS = ["name", "dataset", "method", "shots", "metric", "subject"]
_METRIC = "balanced_accuracy"


def load_runs(folders: Sequence[Path]) -> pd.DataFrame:
    """Load each subject's mean over draws and folds, by run, system, method, target, shots and metric.

    Columns: ``name`` (of the system), ``dataset``, ``method``, ``shots``, ``metric``, ``subject``, ``value``,
    ``simulated``, ``incomplete``.

    Raises:
        UserError: a folder has no results, or results of a version before 0.1.0; or two folders have different values
            of one system.
    """
    parts: list[pd.DataFrame] = []
    columns = {"value": ("value", "mean"), "simulated": ("simulated", "any"), "incomplete": ("incomplete", "max")}
    for folder in folders:
        path = folder / "results.parquet"
        if not path.is_file():
            raise UserError(f"{path}: not there; `make eval-ood` writes it")
        frame = read(path)
        missing = [column for column in _NEEDED if column not in frame]
        if missing:
            raise UserError(f"{path}: no column '{missing[0]}': the file is of a version before 0.1.0; evaluate again")
        clean = (frame["subject"] != "") & (frame["perturbation"] == "") & (frame["shots_unit"] == "windows")
        frame = frame[clean]
        whole = folder.absolute()  # "." has no name
        own = f"{whole.parent.name}/{whole.name}" if len(folders) > 1 else whole.parent.name
        names = np.where(frame["system"] == "", own, frame["system"])
        parts.append(frame.assign(name=names).groupby(_KEYS, sort=False).agg(**columns).reset_index())
    if all(part.empty for part in parts):
        named = ", ".join(str(folder / "results.parquet") for folder in folders)
        raise UserError(f"{named}: no result of a single subject without a perturbation; evaluate again")
    _refuse_two_of_one_name(parts, folders)
    return pd.concat(parts).groupby(_KEYS, sort=False).agg(**columns).reset_index()


def _refuse_two_of_one_name(parts: Sequence[pd.DataFrame], folders: Sequence[Path]) -> None:
    """Runs may share a system, as a baseline; but two that differ must not become one, the mean of both."""
    together = pd.concat([part.assign(run=str(folder)) for part, folder in zip(parts, folders, strict=True)])
    differ = together[together.groupby(_KEYS)["value"].transform("nunique") > 1]
    if len(differ):
        first = differ.iloc[0]
        same = differ[(differ[_KEYS] == first[_KEYS]).all(axis=1)]
        raise UserError(
            f"{' and '.join(dict.fromkeys(same['run']))}: different results of '{first['name']}' on"
            f" '{first['dataset']}' ({first['method']}); a table would have the mean of different systems. Name them"
            " apart (run.name=..., or evaluation.checkpoints={NAME: FILE}), or give one of the RUNs"
        )


def simulated_in(subjects: pd.DataFrame) -> list[str]:
    """List the targets in which simulated data have a part."""
    return sorted(subjects.loc[subjects["simulated"], "dataset"].unique())


def stopped_in(subjects: pd.DataFrame) -> list[str]:
    """List the systems whose training was stopped, with how far it came."""
    stopped = subjects[subjects.get("incomplete", pd.Series("", subjects.index)) != ""]
    return sorted({f"{name} ({step})" for name, step in zip(stopped["name"], stopped["incomplete"], strict=True)})


def cautions(simulated: Sequence[str], stopped: Sequence[str]) -> list[str]:
    """Write what comes before the first number: simulated data, and trainings that were stopped."""
    lines = [f"**SIMULATED DATA has a part in: {', '.join(simulated)}.**", ""] if simulated else []
    return [*lines, *([f"**INCOMPLETE TRAINING: {', '.join(stopped)}.**", ""] if stopped else [])]


def table_3(subjects: pd.DataFrame, resamples: int = 10_000) -> pd.DataFrame:
    """Make the table of few-shot balanced accuracy in %: rows are k, columns are (system, how, target)."""
    chosen = subjects[(subjects["metric"] == _METRIC) & subjects["method"].isin(_FEW_SHOT)]
    return _summed_up(
        chosen.assign(how=chosen["method"].map(_FEW_SHOT)), ["shots"], ["name", "how", "dataset"], resamples
    )


def table_4(subjects: pd.DataFrame, resamples: int = 10_000) -> pd.DataFrame:
    """Make the table of zero-shot: rows are (target, prototypes, metric), columns are systems."""
    metrics = {_METRIC: "balanced accuracy, %", "macro_f1": "macro-F1, %", "recall@1": "recall@1, %"}
    metrics |= {"recall@3": "recall@3, %", "mrr": "MRR"}
    chosen = subjects[subjects["method"].isin(_ZERO_SHOT) & subjects["metric"].isin(metrics)]
    chosen = chosen.assign(how=chosen["method"].map(_ZERO_SHOT), what=chosen["metric"].map(metrics))
    return _summed_up(chosen, ["dataset", "how", "what"], ["name"], resamples)


def table_5(subjects: pd.DataFrame, resamples: int = 10_000) -> pd.DataFrame:
    """Make the table of the probe's balanced accuracy in % with the most labels: rows systems, columns targets."""
    chosen = subjects[(subjects["metric"] == _METRIC) & (subjects["method"] == "linear_probe")]
    if len(chosen):
        chosen = chosen[chosen["shots"] == chosen["shots"].max()]
    return _summed_up(chosen, ["name"], ["dataset"], resamples)


def _summed_up(subjects: pd.DataFrame, rows: list[str], columns: list[str], resamples: int) -> pd.DataFrame:
    """Write mean over subjects and interval as text; systems and targets keep their order."""
    cells: dict[tuple[object, ...], dict[tuple[object, ...], str]] = {}
    for keys, part in subjects.groupby([*columns, *rows], sort=False):
        column, row = keys[: len(columns)], keys[len(columns) :]
        share = not (part["metric"] == "mrr").all()
        cells.setdefault(column, {})[row] = _shown(part["value"].to_numpy(float), resamples, share)
    table = pd.DataFrame(cells)
    if not table.empty:
        table.index = pd.MultiIndex.from_tuples([tuple(key) for key in table.index], names=rows)
        table.columns = pd.MultiIndex.from_tuples([tuple(key) for key in table.columns], names=columns)
        if rows == ["shots"]:
            table = table.sort_index()
    return table


def _shown(values: np.ndarray, resamples: int, share: bool) -> str:
    low, high = bootstrap_interval(values, resamples)
    factor, digits = (100, 1) if share else (1, 3)
    mean, *ends = (f"{factor * x:.{digits}f}" for x in (float(values.mean()), low, high))
    return mean if math.isnan(low) else f"{mean} [{', '.join(ends)}]"


def markdown(subjects: pd.DataFrame, resamples: int = 10_000) -> str:
    """Write all tables, after warnings about simulated data and trainings that were stopped."""
    lines = ["# Tables in the shape of the paper's", "", *cautions(simulated_in(subjects), stopped_in(subjects))]
    titles = (
        ("Table 3: few-shot balanced accuracy, %, by labelled windows per class", table_3),
        ("Table 4: zero-shot", table_4),
        ("Table 5: linear probe with the most labels, balanced accuracy, %", table_5),
    )
    for title, make in titles:
        table = make(subjects, resamples)
        lines += [f"## {title}", "", *(_rows(table) if len(table) else ["no such results"]), ""]
    lines.append("Means over subjects; in brackets 95 % intervals over subjects, if there are at least three.")
    return "\n".join(lines) + "\n"


def _rows(table: pd.DataFrame) -> list[str]:
    names = [*(str(name) for name in table.index.names), *(", ".join(map(str, column)) for column in table.columns)]
    lines = [row(names), rule(len(names))]
    for index, values in table.iterrows():
        key = index if isinstance(index, tuple) else (index,)
        cells = ["" if isinstance(cell, float) and math.isnan(cell) else str(cell) for cell in values]
        lines.append(row([*(str(part) for part in key), *cells]))
    return lines


def figure_3(subjects: pd.DataFrame, resamples: int = 10_000) -> Figure:
    """Draw few-shot curves with intervals: a panel per target, a line per system and way of adapting it."""
    chosen = subjects[(subjects["metric"] == _METRIC) & subjects["method"].isin(_CURVES)]
    targets = list(dict.fromkeys(chosen["dataset"]))
    figure = Figure(figsize=(4.4 * max(len(targets), 1) + 2.4, 4.0), layout="constrained")
    axes = figure.subplots(1, max(len(targets), 1), squeeze=False, sharey=True)[0]
    colours = dict(zip(dict.fromkeys(chosen["name"]), _COLOURS, strict=False))
    handles = {}
    for axis, target in zip(axes, targets, strict=True):
        here = chosen[chosen["dataset"] == target]
        for (name, method), part in here.groupby(["name", "method"], sort=False):
            by_shots = [(int(k), p["value"].to_numpy(float)) for k, p in part.groupby("shots")]
            mean = np.array([100 * values.mean() for _, values in by_shots])
            ends = np.array([bootstrap_interval(values, resamples) for _, values in by_shots]) * 100
            bars = None if np.isnan(ends).any() else np.clip([mean - ends[:, 0], ends[:, 1] - mean], 0, None)
            line, marker = _LINES[method]
            handles[f"{name}, {_CURVES[method]}"] = axis.errorbar(
                [k for k, _ in by_shots],
                mean,
                yerr=bars,
                color=colours.get(name, "#000000"),
                linestyle=line,
                marker=marker,
                capsize=2.5,
            )
        shots = sorted(here["shots"].unique())
        axis.set_xscale("log")
        axis.set_xticks(shots, [str(k) for k in shots])
        axis.set_xticks([], minor=True)
        axis.set(title=target, xlabel="labelled windows per class, k", ylim=(0, 100))
        axis.grid(axis="y", color="0.9")
    axes[0].set_ylabel("balanced accuracy, %")
    if handles:
        figure.legend(list(handles.values()), list(handles), loc="outside right center", frameon=False)
    return figure


_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def write_tables(runs: Sequence[Path], out: Path, resamples: int) -> list[Path]:
    """Write ``paper_tables.md``, ``paper_tables.csv`` and ``paper_figure_3.png`` into ``out``; returns their paths.

    Raises:
        UserError: a run has no results, or results of a version before 0.1.0.
    """
    subjects = load_runs(runs)
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / name for name in ("paper_tables.md", "paper_tables.csv", "paper_figure_3.png")]
    write_text(paths[0], visible(markdown(subjects, resamples)))
    write_text(paths[1], safe_frame(subjects).to_csv(index=False))
    save_figure(figure_3(subjects, resamples), paths[2], dpi=150)
    return paths
