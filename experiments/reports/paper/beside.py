"""Our values beside the paper's, in the rows and columns of its Tables 3 to 5.

Every row and column of the paper is there, whether or not it was evaluated. A target that stands in for one of the
paper's, e.g. another set of patients, gets columns or rows of its own, without a figure of the paper.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from core.durable import write_text
from core.markdown_text import row, rule
from core.shown_text import safe_frame, visible
from experiments.reports.paper.published import (
    ACCURACY,
    ALIASES,
    MRR,
    OWN,
    SHOTS,
    SYSTEMS,
    TABLE_3,
    TABLE_4,
    TABLE_5,
    TO_MMEA,
    TO_PD,
    WITHIN_MMEA,
)
from experiments.reports.paper.tables import cautions, load_runs, simulated_in, stopped_in
from experiments.statistics.intervals import bootstrap_interval

_HOW = {"linear_probe": "probe", "finetune_paper": "fine-tuned"}
_ZERO_SHOT = "zero_shot_target"  # prototypes are videos, as in the paper
_METRICS = {ACCURACY: "balanced_accuracy", MRR: "mrr"}
_TITLES = {
    3: "Table 3: few-shot, pretrained on Ego4D, balanced accuracy, %, by labelled windows per class",
    4: "Table 4: zero-shot, prototypes from videos",
    5: "Table 5: linear probe with 100 labelled windows per class, balanced accuracy, %",
}
_LEGEND = (
    "Ours first: the mean over people of each one's mean over draws, in brackets its 95 % interval over people, where"
    " there are at least three. In parentheses the paper's figure. A dash: not evaluated here, or not in the paper."
)


@dataclass(frozen=True)
class Entry:
    """A cell of a table.

    Attributes:
        table: number of the paper's table.
        row, column: what the cell is about, in words.
        subjects: how many people our value is a mean of; 0 if it was not evaluated.
        ours, low, high: our value and its interval, NaN where there is none.
        paper: the paper's value, NaN where it has none.
    """

    table: int
    row: str
    column: str
    subjects: int
    ours: float
    low: float
    high: float
    paper: float

    def text(self) -> str:
        """Write the cell for people."""
        digits = 3 if MRR in self.row else 1
        ours, low, high, paper = (
            "-" if math.isnan(x) else f"{x:.{digits}f}" for x in (self.ours, self.low, self.high, self.paper)
        )
        interval = "" if low == "-" else f" [{low}, {high}]"
        return f"{ours}{interval} ({paper})"


def entries(subjects: pd.DataFrame, resamples: int = 10_000) -> list[Entry]:
    """List all cells of Tables 3 to 5, row by row.

    Args:
        subjects: each subject's means, as ``tables.load_runs`` gives them.
        resamples: resamples of the intervals.
    """
    named = set(subjects["name"])
    subjects = subjects.replace({"name": {ours: paper for ours, paper in ALIASES.items() if paper not in named}})
    there = list(dict.fromkeys(subjects["dataset"]))
    others = [target for target in there if target not in (TO_MMEA, TO_PD, WITHIN_MMEA)]
    made: list[Entry] = []

    def add(table: int, row: str, column: str, paper: float, metric: str, **chosen: object) -> None:
        part = subjects[subjects["metric"] == metric]
        for key, value in chosen.items():
            part = part[part[key] == value]
        values = part["value"].to_numpy(float) * (1 if metric == "mrr" else 100)
        low, high = bootstrap_interval(values, resamples) if len(values) else (math.nan, math.nan)
        ours = float(values.mean()) if len(values) else math.nan
        made.append(Entry(table, row, column, len(values), ours, low, high, paper))

    columns = list(dict.fromkeys((system, how) for system, how, _ in TABLE_3))
    for position, k in enumerate(SHOTS):
        for system, method in columns:
            for target in (TO_MMEA, TO_PD, *others):
                paper = TABLE_3.get((system, method, target), [math.nan] * len(SHOTS))[position]
                name = f"{SYSTEMS[system]}, {_HOW[method]}, {target}"
                chosen = {"name": system, "method": method, "dataset": target, "shots": k}
                add(3, f"{k}", name, paper, "balanced_accuracy", **chosen)
    for target in dict.fromkeys([*(target for target, _ in TABLE_4), *others]):
        for metric in (ACCURACY, MRR):
            for system in ("imu2clip", OWN):
                paper = TABLE_4.get((target, metric), {}).get(system, math.nan)
                chosen = {"name": system, "method": _ZERO_SHOT, "dataset": target}
                add(4, f"{target}, {metric}", SYSTEMS[system], paper, _METRICS[metric], **chosen)
    for system, values in TABLE_5.items():
        for target in (TO_MMEA, TO_PD, *others):
            chosen = {"name": system, "method": "linear_probe", "dataset": target, "shots": SHOTS[-1]}
            add(5, SYSTEMS[system], target, values.get(target, math.nan), "balanced_accuracy", **chosen)
    return made


def table(made: Sequence[Entry], number: int) -> pd.DataFrame:
    """Arrange the cells of one table as text, in the order of ``entries``."""
    cells: dict[str, dict[str, str]] = {}
    for entry in made:
        if entry.table == number:
            cells.setdefault(entry.row, {})[entry.column] = entry.text()
    return pd.DataFrame.from_dict(cells, orient="index")


def markdown(made: Sequence[Entry], simulated: Sequence[str] = (), stopped: Sequence[str] = ()) -> str:
    """Write all three tables, after warnings about simulated data and trainings that were stopped."""
    lines = ["# Beside the paper's Tables 3 to 5", "", *cautions(simulated, stopped)]
    first = {3: "k", 4: "", 5: "system"}
    for number, title in _TITLES.items():
        shown = table(made, number)
        lines += [f"## {title}", "", row([first[number], *shown.columns]), rule(len(shown.columns) + 1)]
        lines += [row([str(name), *cells]) for name, cells in zip(shown.index, shown.to_numpy(), strict=True)]
        lines.append("")
    return "\n".join([*lines, _LEGEND]) + "\n"


def write_beside(runs: Sequence[Path], out: Path, resamples: int) -> list[Path]:
    """Write ``beside_the_paper.md`` and ``beside_the_paper.csv`` into ``out``; returns their paths.

    Raises:
        UserError: a run has no results, or results of a version before 0.1.0.
    """
    subjects = load_runs(runs)
    made = entries(subjects, resamples)
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / "beside_the_paper.md", out / "beside_the_paper.csv"]
    write_text(paths[0], visible(markdown(made, simulated_in(subjects), stopped_in(subjects))))
    write_text(paths[1], safe_frame(pd.DataFrame(made)).to_csv(index=False))
    return paths
