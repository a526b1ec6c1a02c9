"""Tables of an evaluation: Markdown for files and TensorBoard, rich for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from experiments.cells import CellResult
from experiments.intervals import paired_difference
from experiments.results import Estimate, estimate, participant_means

METRICS = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "macro_f1": "macro-F1"}
TITLES = {
    "majority": "majority",
    "zero_shot": "zero-shot, source videos",
    "handcrafted_rf": "handcrafted + random forest",
    "random_frozen": "random frozen encoder, probe",
    "supervised": "supervised from scratch",
    "linear_probe": "pretrained, linear probe",
    "finetune": "pretrained, fine-tuned",
}
COMPARED_WITH = ("handcrafted_rf", "random_frozen", "supervised")  # what the pretrained probe has to beat
RANKING = {"recall@1": "recall@1", "recall@3": "recall@3", "mrr": "MRR"}
NO_SHOTS = "no shots"


@dataclass(frozen=True)
class Report:
    """Everything that the tables and figures are made from.

    Attributes:
        title: experiment and run.
        results: in the order of the tables.
        resamples: of the bootstrap.
        checkpoint: path and digest, for the header; empty without one.
        pretraining_simulated: the checkpoint was trained on simulated recordings.
        seen_allowed: subjects that pretraining saw too were let in; the cells' notes name them.
    """

    title: str
    results: list[CellResult]
    resamples: int
    checkpoint: str = ""
    pretraining_simulated: bool = False
    seen_allowed: bool = False

    def datasets(self) -> list[str]:
        """Names of the targets, in order."""
        return list(dict.fromkeys(r.cell.dataset for r in self.results))

    def of(self, dataset: str, method: str | None = None, shots: int | None = None) -> list[CellResult]:
        """Cells of a target, and of a method and number of shots if given."""
        return [
            r
            for r in self.results
            if r.cell.dataset == dataset
            and (method is None or r.cell.method == method)
            and (shots is None or r.cell.shots == shots)
        ]

    def estimates(self, dataset: str, metric: str) -> dict[str, dict[int, Estimate]]:
        """Method -> shots -> estimate; only of methods that have the metric."""
        table: dict[str, dict[int, Estimate]] = {}
        for result in self.of(dataset):
            cell = result.cell
            if metric in result.metrics and cell.shots not in table.setdefault(cell.method, {}):
                cells = self.of(dataset, cell.method, cell.shots)
                table[cell.method][cell.shots] = estimate(cells, metric, self.resamples)
        return {method: values for method, values in table.items() if values}

    def warnings(self, dataset: str) -> list[str]:
        """What every table has to say at its top."""
        lines = []
        if any(r.simulated for r in self.of(dataset)):
            lines.append("SIMULATED: these windows come from the simulator, not from people.")
        elif self.pretraining_simulated:
            lines.append("The encoder was pretrained on SIMULATED recordings.")
        if self.seen_allowed:
            lines.append("evaluation.allow_seen_subjects is on: NOT OUT OF DISTRIBUTION where the notes name subjects.")
        return lines

    def caption(self, dataset: str) -> str:
        """Who and what is behind a target's numbers."""
        results = self.of(dataset)
        people = {subject: n for r in results for subject, n in r.windows_by_subject.items()}
        classes = sorted({name for r in results for name in r.classes})
        folds = len({r.cell.fold for r in results})
        return (
            f"population {results[0].cell.population}; {len(people)} test participants,"
            f" {sum(people.values())} test windows, {len(classes)} activities, {folds} folds"
        )

    def notes(self, dataset: str) -> list[str]:
        """Remarks on a target's cells, each once."""
        results = self.of(dataset)
        few = len({subject for r in results for subject in r.by_subject})
        draws = {m: _draws(self.of(dataset, m)) for m in dict.fromkeys(r.cell.method for r in results)}
        notes = [
            f"mean over {few} participants of the mean over draws"
            f" ({', '.join(f'{method} {n}' for method, n in draws.items())} per fold); in brackets the 95 %"
            f" interval, {self.resamples} bootstrap resamples of these {few} participants."
            + (" So few participants make it wide, and still too narrow to be trusted." if few < 10 else ""),
        ]
        if "majority" in draws:
            notes.append("majority: the activity that is most frequent among the support participants' windows.")
        notes += dict.fromkeys(note for r in results for note in r.notes)
        return notes


def _draws(results: Sequence[CellResult]) -> int:
    return len({r.cell.draw for r in results})


def markdown(report: Report) -> str:
    """The whole report: per target and metric a table, rows are methods, columns numbers of shots."""
    parts = [f"# Out-of-distribution evaluation: {report.title}", ""]
    if report.checkpoint:
        parts += [f"Checkpoint: {report.checkpoint}", ""]
    for dataset in report.datasets():
        parts += [f"## {dataset}", ""]
        parts += [line for warning in report.warnings(dataset) for line in (f"**{warning}**", "")]
        parts += [f"{report.caption(dataset)}.", ""]
        for metric, title in METRICS.items():
            parts += [*_markdown_table(report, dataset, metric, title), ""]
        parts += _markdown_ranking(report, dataset)
        parts += _markdown_differences(report, dataset)
        parts += ["Notes:", ""] + [f"- {note}" for note in report.notes(dataset)] + [""]
    return "\n".join(parts)


def _markdown_table(report: Report, dataset: str, metric: str, title: str) -> list[str]:
    table = report.estimates(dataset, metric)
    shots = _shots(table)
    simulated = " (simulated)" if any(r.simulated for r in report.of(dataset)) else ""
    header = [f"{title}{simulated}", *(_column(k) for k in shots)]
    lines = ["| " + " | ".join(header) + " |", "| --- |" + " ---: |" * len(shots)]
    for method, values in table.items():
        cells = [show(values[k]) if k in values else "" for k in shots]
        lines.append("| " + " | ".join([method_title(method), *cells]) + " |")
    return lines


def _markdown_ranking(report: Report, dataset: str) -> list[str]:
    """Recall@k and MRR of the methods that rank activities, with what chance gives."""
    estimates = {metric: report.estimates(dataset, metric) for metric in RANKING}
    ranked = list(estimates["mrr"])
    if not ranked:
        return []
    first = report.of(dataset, ranked[0])[0]
    pool = len(first.classes)
    lines = [
        f"| ranking among {pool} activities | " + " | ".join(RANKING.values()) + " |",
        "| --- |" + " ---: |" * len(RANKING),
    ]
    for method in ranked:
        cells = [show(next(iter(estimates[metric][method].values()))) for metric in RANKING]
        lines.append("| " + " | ".join([method_title(method), *cells]) + " |")
    lines.append("| chance | " + " | ".join(f"{first.metrics[f'chance_{metric}']:.3f}" for metric in RANKING) + " |")
    return [*lines, ""]


def _markdown_differences(report: Report, dataset: str, metric: str = "balanced_accuracy") -> list[str]:
    """By how much the pretrained probe beats the others, participant by participant."""
    shots = sorted({r.cell.shots for r in report.of(dataset, "linear_probe")})
    rows = []
    for other in COMPARED_WITH:
        cells = []
        for k in shots:
            pair = [report.of(dataset, name, k) for name in ("linear_probe", other)]
            if not all(pair):
                continue
            means = [participant_means(results, metric) for results in pair]
            difference, low, high = paired_difference(means[0], means[1], report.resamples)
            interval = "" if math.isnan(low) else f" [{low:+.3f}, {high:+.3f}]"
            cells.append(f"{difference:+.3f}{interval}")
        if cells:
            rows.append(f"| {method_title(other)} | " + " | ".join(cells) + " |")
    if not rows:
        return []
    header = [f"linear probe minus ..., {METRICS[metric]}", *(_column(k) for k in shots)]
    return ["| " + " | ".join(header) + " |", "| --- |" + " ---: |" * len(shots), *rows, ""]


def terminal_tables(report: Report, metrics: Sequence[str] = ("accuracy", "macro_f1")) -> list[Table]:
    """The same for the terminal, a table per target and metric."""
    tables = []
    for dataset in report.datasets():
        for metric in metrics:
            estimates = report.estimates(dataset, metric)
            shots = _shots(estimates)
            warnings = "\n".join(report.warnings(dataset))
            title = f"{dataset}: {METRICS[metric]}" + (f"\n[bold red]{warnings}[/]" if warnings else "")
            table = Table(title=title, caption=f"{report.caption(dataset)}; mean and 95 % interval over participants")
            table.add_column("method", no_wrap=True)
            for k in shots:
                table.add_column(_column(k), justify="right")
            best = {k: max(v[k].mean for v in estimates.values() if k in v) for k in shots}
            for method, values in estimates.items():
                cells = []
                for k in shots:
                    text = _two_lines(values[k]) if k in values else ""
                    is_best = k > 0 and k in values and values[k].mean == best[k]
                    cells.append(f"[bold]{text}[/]" if is_best else text)
                table.add_row(method_title(method), *cells)
            tables.append(table)
    return tables


def show(value: Estimate) -> str:
    """``0.612 [0.550, 0.671]``; without brackets where one participant shows no spread."""
    if math.isnan(value.low):
        return f"{value.mean:.3f}"
    return f"{value.mean:.3f} [{value.low:.3f}, {value.high:.3f}]"


def _two_lines(value: Estimate) -> str:
    """Narrow enough for a terminal of 90 columns."""
    interval = "" if math.isnan(value.low) else f"\n{value.low:.2f}-{value.high:.2f}"
    return f"{value.mean:.3f}{interval}"


def method_title(name: str) -> str:
    """How tables and figures call a method."""
    return TITLES.get(name, name.replace("_", " "))


def _shots(table: dict[str, dict[int, Estimate]]) -> list[int]:
    return sorted({k for values in table.values() for k in values})


def _column(shots: int) -> str:
    return NO_SHOTS if shots == 0 else f"k = {shots}"
