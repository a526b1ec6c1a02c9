"""A report as Markdown, for ``results.md`` and TensorBoard."""

from __future__ import annotations

from collections.abc import Sequence

from core.markdown_text import cell, plain, row
from experiments.reports.evaluation.answer import answer_table, answers_of
from experiments.reports.evaluation.content import Report
from experiments.reports.evaluation.sections import sections_of
from experiments.reports.evaluation.verdicts import how_decided, verdicts_of
from experiments.reports.shared.table import Table


def markdown(report: Report, curves: Sequence[str] = ()) -> str:
    """Write the answer and its warnings, then verdicts, and each target's tables and notes.

    Args:
        report: the report.
        curves: paths of the answer's curves, relative to the file.
    """
    parts = [f"# Out-of-distribution evaluation: {plain(report.title)}", ""]
    parts += _answer(report)
    parts += [line for path in curves for line in (f"![curve of the answer]({path})", "")]
    lines = [*report.all_warnings(), *report.remarks]
    parts += [line for warning in lines for line in (f"**{plain(warning)}**", "")]
    parts += _verdicts(report)
    for dataset in report.datasets():
        parts += [f"## {plain(dataset)}", ""]
        parts += [line for warning in report.warnings(dataset) for line in (f"**{plain(warning)}**", "")]
        parts += [f"{plain(report.caption(dataset))}.", "", report.reading(dataset), ""]
        for section in sections_of(report, dataset):
            parts += [f"### {plain(section.title)}", ""]
            parts += [plain(section.text), ""] if section.text else []
            for table in section.tables:
                parts += [*_table(table), "", *_note(table)]
        parts += ["### Notes", ""] + [f"- {plain(note)}" for note in report.notes(dataset)] + [""]
    if report.checkpoint:
        parts += [f"Checkpoint: {plain(report.checkpoint)}", ""]
    return "\n".join(parts)


def _answer(report: Report) -> list[str]:
    lines = []
    for answer in answers_of(report):
        lines += [f"**{plain(answer.dataset)}{report.flags(answer.dataset)}**: {plain(answer.sentence)}", ""]
    table = answer_table(report)
    return lines if table is None else [*lines, *_table(table), "", *_note(table)]


def _verdicts(report: Report) -> list[str]:
    found = verdicts_of(report)
    if not found:
        return []
    lines = ["## Planned comparisons", ""]
    lines += [line for sentence in how_decided(report) for line in (plain(sentence), "")]
    for verdicts in found:
        lines += [f"**{plain(verdicts.dataset)}{report.flags(verdicts.dataset)}**", ""]
        sentences = [each.sentence for each in verdicts.planned] + [each.sentence for each in verdicts.systems]
        lines += [f"- {plain(sentence)}" for sentence in sentences]
        lines += [""]
    return lines


def _note(table: Table) -> list[str]:
    return [cell(table.note), ""] if table.note else []


def _table(table: Table) -> list[str]:
    header = (table.title, *table.columns)
    lines = [row(header), "| --- |" + " ---: |" * (len(header) - 1)]
    return lines + [row(texts) for texts in table.rows]
