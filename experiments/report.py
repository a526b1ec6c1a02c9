"""Tables of an evaluation: Markdown for files and TensorBoard, rich for the terminal.

Shares are in %, differences of shares in percentage points; the mean reciprocal rank is no share and stays as it is.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from rich.markup import escape
from rich.table import Table

from experiments.cells import CellResult
from experiments.intervals import FEWEST, paired_difference
from experiments.results import Estimate, estimate, participant_means

METRICS = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "macro_f1": "macro-F1"}
TITLES = {  # in the order of the tables' rows
    "majority": "majority",
    "zero_shot": "zero-shot, source videos",
    "handcrafted_rf": "handcrafted + random forest",
    "random_frozen": "random frozen encoder, probe",
    "supervised": "supervised from scratch",
    "linear_probe": "pretrained, linear probe",
    "finetune": "pretrained, fine-tuned",
}
COMPARED_WITH = ("handcrafted_rf", "random_frozen", "supervised")  # what the pretrained probe has to beat
RANKING = {"recall@1": "recall@1, %", "recall@3": "recall@3, %", "mrr": "MRR"}
SIMULATED_DATA = "SIMULATED DATA: these windows come from the simulator, not from people."


@dataclass(frozen=True)
class Report:
    """Everything that the tables and figures are made from.

    Attributes:
        title: experiment and run.
        results: of all cells.
        resamples: of the bootstrap.
        checkpoint: path and digest, for the header; empty without one.
        simulated_targets: names of the targets whose windows come from the simulator.
        pretraining_simulated: the checkpoint was trained on simulated recordings.
        remarks: what concerns the whole evaluation, e.g. a method that was left out.
        seen_allowed: subjects that pretraining saw too were let in; the cells' notes name them.
    """

    title: str
    results: list[CellResult]
    resamples: int
    checkpoint: str = ""
    simulated_targets: frozenset[str] = frozenset()
    pretraining_simulated: bool = False
    seen_allowed: bool = False
    remarks: list[str] = field(default_factory=list)

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
        """Method -> shots -> estimate, methods in the tables' order; only those that have the metric."""
        table: dict[str, dict[int, Estimate]] = {}
        for result in self.of(dataset):
            cell = result.cell
            if metric in result.metrics and cell.shots not in table.setdefault(cell.method, {}):
                cells = self.of(dataset, cell.method, cell.shots)
                table[cell.method][cell.shots] = estimate(cells, metric, self.resamples)
        return {method: table[method] for method in in_order(table) if table[method]}

    def flags(self, dataset: str) -> str:
        """What each table and figure says beside its name, in brackets; empty where there is nothing to say."""
        flags = []
        if dataset in self.simulated_targets:
            flags.append("simulated")
        elif self.pretraining_simulated:
            flags.append("pretraining simulated")
        if self.seen_allowed:
            flags.append("seen subjects allowed")
        return f" ({', '.join(flags)})" if flags else ""

    def warnings(self, dataset: str) -> list[str]:
        """What has to be said before a target's first number."""
        lines = []
        if dataset in self.simulated_targets:
            lines.append(SIMULATED_DATA)
        elif self.pretraining_simulated:
            lines.append("The encoder was pretrained on SIMULATED DATA.")
        if self.seen_allowed:
            lines.append("evaluation.allow_seen_subjects is on: NOT OUT OF DISTRIBUTION where the notes name subjects.")
        return lines

    def caption(self, dataset: str) -> str:
        """Who and what is behind a target's numbers."""
        results = self.of(dataset)
        people: dict[str, int] = {}
        for result in results:  # a method that can't tell all activities apart is tested on fewer windows
            for subject, n in result.windows_by_subject.items():
                people[subject] = max(n, people.get(subject, 0))
        classes = {name for r in results for name in r.classes}
        folds = len({r.cell.fold for r in results})
        return (
            f"population {results[0].cell.population}; {len(people)} test participants,"
            f" {sum(people.values())} test windows, {len(classes)} activities, {folds} folds"
        )

    def reading(self, dataset: str) -> str:
        """How the numbers are to be read: over whom they are averaged, and what the brackets are."""
        people = len({subject for r in self.of(dataset) for subject in r.by_subject})
        mean = f"In %: the mean over {people} participants of each one's mean over draws"
        if people < FEWEST:
            return f"{mean}; {people} participants are too few for intervals."
        few = " So few participants make it wide, and still too narrow to be trusted." if people < 10 else ""
        return (
            f"{mean}; in brackets its 95 % interval over participants, from {self.resamples} bootstrap resamples of"
            f" these {people}.{few}"
        )

    def notes(self, dataset: str) -> list[str]:
        """Remarks on a target's cells, each once, with the method that it is about where that is one alone."""
        results = self.of(dataset)
        methods = in_order({r.cell.method for r in results})
        counts = [f"{method_title(m)}: {len({r.cell.draw for r in results if r.cell.method == m})}" for m in methods]
        notes = [f"draws a fold -- {'; '.join(counts)}"]
        if "majority" in methods:
            notes.append("majority: the activity that is most frequent among the support participants' windows")
        about: dict[str, set[str]] = {}
        for result in results:
            for note in result.notes:
                about.setdefault(note, set()).add(result.cell.method)
        for note, concerned in about.items():
            title = method_title(next(iter(concerned)))
            unsaid = len(concerned) == 1 < len(methods) and not title.startswith(note.partition(":")[0])
            notes.append(f"{title}: {note}" if unsaid else note)
        return notes


def markdown(report: Report) -> str:
    """The whole report: per target and metric a table, rows are methods, columns numbers of shots."""
    parts = [f"# Out-of-distribution evaluation: {report.title}", ""]
    if report.checkpoint:
        parts += [f"Checkpoint: {report.checkpoint}", ""]
    parts += [line for remark in report.remarks for line in (f"**{remark}**", "")]
    for dataset in report.datasets():
        parts += [f"## {dataset}", ""]
        parts += [line for warning in report.warnings(dataset) for line in (f"**{warning}**", "")]
        parts += [f"{report.caption(dataset)}.", "", report.reading(dataset), ""]
        for metric, title in METRICS.items():
            parts += [*_markdown_table(report, dataset, metric, title), ""]
        parts += _markdown_ranking(report, dataset)
        parts += _markdown_differences(report, dataset)
        parts += ["Notes:", ""] + [f"- {note}" for note in report.notes(dataset)] + [""]
    return "\n".join(parts)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(header) + " |", "| --- |" + " ---: |" * (len(header) - 1)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def _markdown_table(report: Report, dataset: str, metric: str, title: str) -> list[str]:
    table = report.estimates(dataset, metric)
    shots = _shots(table)
    rows = [
        [method_title(method), *(show(values[k]) if k in values else "" for k in shots)]
        for method, values in table.items()
    ]
    return _table([f"{title}{report.flags(dataset)}, %", *map(_column, shots)], rows)


def _markdown_ranking(report: Report, dataset: str) -> list[str]:
    """Recall@k and MRR of the methods that rank activities, with what a random order gives."""
    estimates = {metric: report.estimates(dataset, metric) for metric in RANKING}
    rows = []
    for method, by_shots in estimates["mrr"].items():
        for k in by_shots:
            results = report.of(dataset, method, k)
            sizes = sorted({len(r.classes) for r in results if r.metrics})
            pool = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
            found = [show(estimates[metric][method][k], metric != "mrr") for metric in RANKING]
            rows.append([method_title(method), pool, *found])
            chance = [estimate(results, f"chance_{metric}", 0) for metric in RANKING]
            by_chance = [show(e, metric != "mrr") for e, metric in zip(chance, RANKING, strict=True)]
            rows.append(["a random order", pool, *by_chance])
    header = [f"ranking of the activities{report.flags(dataset)}", "activities", *RANKING.values()]
    return [*_table(header, rows), ""] if rows else []


def _markdown_differences(report: Report, dataset: str, metric: str = "balanced_accuracy") -> list[str]:
    """By how much the pretrained probe beats the others, participant by participant, on draws that both did."""
    shots = sorted({r.cell.shots for r in report.of(dataset, "linear_probe")})
    rows = []
    for other in COMPARED_WITH:
        cells = [_difference(report, dataset, other, k, metric) for k in shots]
        if any(cells):
            rows.append([method_title(other), *cells])
    header = [f"linear probe minus ..., {METRICS[metric]}{report.flags(dataset)}, points", *map(_column, shots)]
    return [*_table(header, rows), ""] if rows else []


def _difference(report: Report, dataset: str, other: str, shots: int, metric: str) -> str:
    first, second = (report.of(dataset, name, shots) for name in ("linear_probe", other))
    shared = _draws(first) & _draws(second)
    if not shared:
        return ""
    means = [
        participant_means([r for r in results if (r.cell.fold, r.cell.draw) in shared], metric)
        for results in (first, second)
    ]
    difference, low, high = (100 * value for value in paired_difference(means[0], means[1], report.resamples))
    return f"{difference:+.1f}" if math.isnan(low) else f"{difference:+.1f} [{low:+.1f}, {high:+.1f}]"


def _draws(results: Sequence[CellResult]) -> set[tuple[int, int]]:
    """Folds and draws that were done."""
    return {(r.cell.fold, r.cell.draw) for r in results if r.metrics}


def terminal_tables(report: Report, metrics: Sequence[str] = ("accuracy", "macro_f1")) -> list[Table]:
    """The same for the terminal, a table per target and metric; the best of a column is bold."""
    tables = []
    for dataset in report.datasets():
        for metric in metrics:
            estimates = report.estimates(dataset, metric)
            shots = _shots(estimates)
            warnings = "".join(f"[bold red]{escape(line)}[/]\n" for line in report.warnings(dataset))
            table = Table(
                title=f"{warnings}{escape(dataset)}: {METRICS[metric]}, %",
                caption=f"{report.caption(dataset)}; mean and 95 % interval over participants",
            )
            table.add_column("method", no_wrap=True)
            for k in shots:
                table.add_column(_column(k), justify="right", no_wrap=True)
            best = {k: max(v[k].mean for v in estimates.values() if k in v) for k in shots}
            for method, values in estimates.items():
                cells = []
                for k in shots:
                    text = _two_lines(values[k]) if k in values else ""
                    is_best = k > 0 and k in values and values[k].mean == best[k]
                    cells.append(f"[bold]{text}[/]" if is_best else text)
                table.add_row(escape(method_title(method)), *cells)
            tables.append(table)
    return tables


def show(value: Estimate, percent: bool = True) -> str:
    """``61.2 [55.0, 67.1]``; without brackets where there are too few participants for an interval."""
    factor, digits = (100, 1) if percent else (1, 3)
    mean, low, high = (f"{factor * x:.{digits}f}" for x in (value.mean, value.low, value.high))
    return mean if math.isnan(value.low) else f"{mean} [{low}, {high}]"


def _two_lines(value: Estimate) -> str:
    """Narrow enough for a terminal of 90 columns."""
    interval = "" if math.isnan(value.low) else f"\n{100 * value.low:.0f} to {100 * value.high:.0f}"
    return f"{100 * value.mean:.1f}{interval}"


def method_title(name: str) -> str:
    """How tables and figures call a method."""
    return TITLES.get(name, name.replace("_", " "))


def in_order(methods: Collection[str]) -> list[str]:
    """From what looks at nothing to what learns most; those without a title last, by name."""
    known = [method for method in TITLES if method in methods]
    return known + sorted(method for method in methods if method not in TITLES)


def _shots(table: dict[str, dict[int, Estimate]]) -> list[int]:
    return sorted({k for values in table.values() for k in values})


def _column(shots: int) -> str:
    return f"k = {shots}"
