"""Names that a spreadsheet would run, or that hide: in every table and page they are harmless, and come back."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from helpers.made_results import make_results

from core.shown_text import read_csv
from experiments.evaluation.timeline import Bout, Row
from experiments.inference.summary import Clock, Spent
from experiments.reports.build.drawings import histogram
from experiments.reports.evaluation import Report, markdown
from experiments.reports.evaluation.page import html
from experiments.reports.prediction.tables import BOUTS, DAYS, HOURS, PREDICTIONS, write_tables
from experiments.statistics import results

ROOT = Path(__file__).parents[3]
FORMULA, TURNED, ESCAPE = "=cmd|'/c calc'!A1", "wal\u202egnik", "-run\x1b[2J"
ACTIVITIES = (FORMULA, TURNED, ESCAPE)
HIDDEN = ("\u202e", "\x1b")


@pytest.fixture(scope="module")
def report() -> Report:
    made = make_results(f"home {TURNED}", 4, ACTIVITIES, shots=(1,), draws=1, methods=("majority", "linear_probe"))
    return Report(f"run {ESCAPE}", made, 50, remarks=[f"left out: {TURNED}"])


def test_results_hold_no_formula_and_read_back_as_they_are(report: Report, tmp_path: Path) -> None:
    frame = results.rows(report.results)
    csv, parquet = results.write(frame, tmp_path)
    text = csv.read_text(encoding="utf-8")
    assert not any(hidden in text for hidden in HIDDEN)
    back = read_csv(csv)
    for name in ("dataset", "method", "metric", "subject"):
        assert [row[name] for row in back] == frame[name].tolist()
    assert [float(row["value"]) for row in back] == frame["value"].tolist()
    assert f"recall[{FORMULA}]" in {row["metric"] for row in back}
    pd.testing.assert_frame_equal(results.read(parquet), frame)  # parquet has the names as they are


def test_pages_and_markdown_show_what_is_hidden(report: Report) -> None:
    for text in (html(report, {}), markdown(report)):
        assert not any(hidden in text for hidden in HIDDEN)
        assert "wal&lt;U+202E&gt;gnik" in text or "wal&lt;U+202E>gnik" in text


def test_drawings_show_what_is_hidden() -> None:
    drawn = str(histogram([1.0, 2.0], [0.0, 1.0, 2.0], f"a {TURNED}", "seconds"))
    assert "wal&lt;U+202E&gt;gnik" in drawn
    assert not any(hidden in drawn for hidden in HIDDEN)


def test_predictions_hold_no_formula_and_read_back_as_they_are(tmp_path: Path) -> None:
    rows = [Row("=a.csv", -1.5, 0.5, FORMULA, 0.9, ""), Row("=a.csv", 0.5, 2.5, TURNED, float("nan"), "gap", "@x")]
    bouts = [Bout("=a.csv", ESCAPE, -1.5, 0.5, 1, 0.9)]
    spent = [Spent("=a.csv", "+1", {FORMULA: 2.0})]
    write_tables(tmp_path, rows, bouts, spent, spent, {"=a.csv": Clock(-1.5, None)}, ACTIVITIES)
    for name in (PREDICTIONS, BOUTS, HOURS, DAYS):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert not any(hidden in text for hidden in HIDDEN)
        assert not any(cell.startswith("=") for line in text.splitlines() for cell in line.split(","))
    first, second = read_csv(tmp_path / PREDICTIONS)
    assert (first["recording"], first["activity"], first["start"]) == ("=a.csv", FORMULA, "-1.5")
    assert (second["activity"], second["reason"]) == (TURNED, "@x")
    assert "\n'=a.csv,-1.5,0.5," in (tmp_path / PREDICTIONS).read_text(encoding="utf-8")
    assert read_csv(tmp_path / DAYS)[0][FORMULA] == "2"


def _csv_writers() -> Iterator[str]:
    """Calls that write CSV past the one function, by file and line."""
    for package in ("core", "datamodules", "encoders", "lightning_modules", "experiments"):
        for path in (ROOT / package).rglob("*.py"):
            if path == ROOT / "core" / "shown_text.py":
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                    continue
                called, owner = node.func.attr, node.func.value
                safe = isinstance(owner, ast.Call) and ast.unparse(owner.func) == "safe_frame"
                if called in ("DictWriter", "writerow", "writerows") or (called == "to_csv" and not safe):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}"


def test_all_csv_is_written_by_the_one_function() -> None:
    assert list(_csv_writers()) == []
