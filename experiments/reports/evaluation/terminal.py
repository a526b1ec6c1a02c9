"""The first screen of an evaluation in the terminal: the answer, its small table, and the warnings, each once."""

from __future__ import annotations

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from experiments.reports.evaluation.answer import answer_table, answers_of
from experiments.reports.evaluation.content import Report
from experiments.reports.evaluation.titles import in_order

_COLOURS = {"ahead": "green", "behind": "red"}


def terminal_answer(report: Report) -> list[RenderableType]:
    """Make a sentence for each target, one small table, and the warnings."""
    shown: list[RenderableType] = []
    for answer in answers_of(report):
        line = Text(f"{answer.dataset}{report.flags(answer.dataset)}: ", style="bold")
        shown += [line.append(answer.sentence, style=f"not bold {_COLOURS.get(answer.standing or '', '')}"), ""]
    if (table := _small_table(report)) is not None:
        shown.append(table)
    shown += [Text(line, style="yellow") for line in [*report.all_warnings(), *_refused(report), *report.remarks]]
    return shown


def _refused(report: Report) -> list[str]:
    """Write a line for each target of which cells were refused."""
    lines = []
    for dataset in report.datasets():
        if rows := in_order(set(report.evidence.refused_rows(dataset))):
            named = ", ".join(report.evidence.title(dataset, contender) for contender in rows)
            lines.append(f"REFUSED on {dataset}: {named}. ledger.csv says why.")
    return lines


def _small_table(report: Report) -> Table | None:
    """Write the small table; what stands in brackets goes on a line of its own."""
    content = answer_table(report)
    if content is None:
        return None
    table = Table(title=escape(content.title), caption=escape(content.note))
    table.add_column(content.rows_are)
    for column in content.columns:
        table.add_column(column, justify="right")
    for row in content.rows:
        table.add_row(*(escape(text.replace(" [", "\n[", 1).replace(" (", "\n(", 1)) for text in row))
    return table
