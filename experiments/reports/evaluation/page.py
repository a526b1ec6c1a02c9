"""The report as one HTML file that needs no network, no server, and no script to be read."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from core.durable import write_text
from experiments.reports.evaluation.answer import answer_table, answers_of
from experiments.reports.evaluation.comparisons import OUTCOMES
from experiments.reports.evaluation.content import AUDIT, Report
from experiments.reports.evaluation.figures import DPI, file_name, names
from experiments.reports.evaluation.sections import sections_of
from experiments.reports.evaluation.verdicts import how_decided, verdicts_of
from experiments.reports.shared.pictures import png_of, svg_of
from experiments.reports.shared.rendering import render
from experiments.reports.shared.table import Table

_HERE = Path(__file__).parent
_MOST_SVG = 150_000  # bytes; a browser draws larger ones slowly
_WIDE = 8.0  # inches; wider figures scroll on a phone
_CSS_DPI = 96


@dataclass(frozen=True)
class Picture:
    """A figure as an image.

    Attributes:
        source: URL with the image in it (``data:``).
        description: description in words.
        width, height: size in CSS pixels.
        wide: True for a wide figure with small print.
    """

    source: str
    description: str
    width: int
    height: int
    wide: bool


@dataclass(frozen=True)
class _Section:
    anchor: str
    title: str
    text: str
    tables: list[Table]
    pictures: list[Picture]


@dataclass(frozen=True)
class _Target:
    name: str
    anchor: str
    warnings: list[str]
    caption: str
    reading: str
    notes: list[str]
    curve: Picture | None
    sections: list[_Section]


def write_html(report: Report, made: Mapping[str, Figure], path: Path) -> None:
    """Write a report; the file appears whole or not at all.

    Args:
        report: the report.
        made: figures by name, see ``reports.evaluation.figures``; missing figures are left out.
        path: path of the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, html(report, made))


def html(report: Report, made: Mapping[str, Figure]) -> str:
    """Render the page. Text from data is escaped, and no script but the page's own may run."""
    warnings = report.all_warnings()
    return render(
        "page.html.j2",
        _HERE,
        title=report.title,
        checkpoint=report.checkpoint,
        answers=answers_of(report),
        table=answer_table(report),
        remarks=report.remarks,
        warnings=[line for line in warnings if AUDIT not in line],
        audit=[line for line in warnings if AUDIT in line],
        verdicts=verdicts_of(report),
        how=how_decided(report),
        outcomes=OUTCOMES,
        flags={dataset: report.flags(dataset) for dataset in report.datasets()},
        targets=_targets(report, made),
    )


def _targets(report: Report, made: Mapping[str, Figure]) -> list[_Target]:
    found = []
    by_kind = names(report)
    for number, dataset in enumerate(report.datasets(), 1):
        anchor = f"target-{number}-{file_name(dataset)}"
        sections = []
        for section in sections_of(report, dataset):
            figures = [made[name] for name in by_kind[dataset].get(section.kind, []) if name in made]
            pictures = [picture(figure) for figure in figures]
            sections.append(_Section(f"{anchor}-{section.kind}", section.title, section.text, section.tables, pictures))
        curves = [picture(made[name]) for name in by_kind[dataset]["answer"] if name in made]
        found.append(
            _Target(
                dataset,
                anchor,
                report.warnings(dataset),
                report.caption(dataset),
                report.reading(dataset),
                report.notes(dataset),
                curves[0] if curves else None,
                sections,
            )
        )
    return found


def picture(figure: Figure) -> Picture:
    """Draw a figure as SVG with letters as shapes, or as PNG if the SVG is large and the PNG smaller."""
    svg = svg_of(figure, DPI)
    kind, data = "svg+xml", svg
    if len(svg) > _MOST_SVG:
        png = png_of(figure, DPI)
        kind, data = ("png", png) if len(png) < len(svg) else (kind, data)
    width, height = (float(inches) for inches in figure.get_size_inches())
    return Picture(
        source=f"data:image/{kind};base64,{base64.b64encode(data).decode()}",
        description=str(figure.get_label()),
        width=round(_CSS_DPI * width),
        height=round(_CSS_DPI * height),
        wide=width > _WIDE,
    )
