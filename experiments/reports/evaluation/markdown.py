"""A report as Markdown, for ``results.md`` and TensorBoard."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.reports.evaluation.content import Report
from experiments.reports.evaluation.sections import sections_of
from experiments.reports.evaluation.tables import Table
from experiments.reports.evaluation.verdicts import verdicts_of


def markdown(report: Report) -> str:
    """Write warnings and verdicts, then each target's tables and notes."""
    parts = [f"# Out-of-distribution evaluation: {_plain(report.title)}", ""]
    if report.checkpoint:
        parts += [f"Checkpoint: {_plain(report.checkpoint)}", ""]
    parts += [line for remark in report.remarks for line in (f"**{_plain(remark)}**", "")]
    parts += _verdicts(report)
    for dataset in report.datasets():
        parts += [f"## {_plain(dataset)}", ""]
        parts += [line for warning in report.warnings(dataset) for line in (f"**{_plain(warning)}**", "")]
        parts += [f"{_plain(report.caption(dataset))}.", "", report.reading(dataset), ""]
        for section in sections_of(report, dataset):
            parts += [f"### {_plain(section.title)}", ""]
            parts += [_plain(section.text), ""] if section.text else []
            for table in section.tables:
                parts += [*_table(table), ""]
                parts += [_plain(table.note).replace("*", r"\*"), ""] if table.note else []
        parts += ["### Notes", ""] + [f"- {_plain(note)}" for note in report.notes(dataset)] + [""]
    return "\n".join(parts)


def _verdicts(report: Report) -> list[str]:
    found = verdicts_of(report)
    if not found:
        return []
    lines = ["## Verdicts", ""]
    for verdicts in found:
        lines += [f"**{_plain(verdicts.dataset)}{report.flags(verdicts.dataset)}**", ""]
        lines += [f"- {_plain(sentence)}" for sentence in [*verdicts.best, *verdicts.summaries]]
        lines += ["", "One by one:", ""]
        lines += [f"- {_plain(comparison.sentence)}" for comparison in verdicts.headline]
        lines += [""]
    return lines


def _table(table: Table) -> list[str]:
    header = (table.title, *table.columns)
    lines = [_row(header), "| --- |" + " ---: |" * (len(header) - 1)]
    return lines + [_row(row) for row in table.rows]


def _row(texts: Sequence[str]) -> str:
    return "| " + " | ".join(_plain(text).replace("*", r"\*") for text in texts) + " |"


def _plain(text: str) -> str:
    """Escape text: names come from data, and must not end a cell or start HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", r"\|").replace("\n", " ")
