"""``ledger.csv`` and ``shift.csv``: whom each encoder has seen, and how large each shift is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from core.durable import write_text
from core.shown_text import cell, csv_text
from experiments.evaluation.ledger import Ledger
from experiments.evaluation.shifts import COLUMNS
from experiments.reports.evaluation.evidence import Evidence

LEDGER = (
    "dataset",
    "fold",
    "kind",
    "encoder",
    "digest",
    "control",
    "labels",
    "tested_seen",
    "others_seen",
    "chosen_on",
    "refused",
    "why",
)


def write_ledger(evidence: Evidence, folder: Path) -> Path:
    """Write a row for each encoder and fold; names are parted by semicolons."""
    return _write(folder / "ledger.csv", LEDGER, _ledger_rows(evidence.ledger))


def write_shifts(evidence: Evidence, folder: Path) -> Path:
    """Write a row for each comparison of tested windows with others."""
    return _write(folder / "shift.csv", COLUMNS, (row.values() for row in evidence.shifts))


def _ledger_rows(ledger: Ledger) -> Iterable[Sequence[object]]:
    for each in ledger.entries:
        seen = each.seen
        # Each name for itself: a spreadsheet may split cells at semicolons.
        names = (
            ";".join(str(cell(name)) for name in people)
            for people in (each.tested_seen, each.others_seen, each.chosen_on)
        )
        refused = bool(each.why) and not ledger.allowed
        yield (
            each.dataset,
            each.fold,
            seen.kind,
            seen.encoder,
            seen.digest,
            seen.control,
            seen.labels,
            *names,
            refused,
            each.why,
        )


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, csv_text(header, rows))
    return path
