from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.shown_text import cell, csv_text, from_cell, read_csv, safe_frame, visible

FORMULAS = ("=cmd|'/c calc'!A1", "+1+cmd", "-2+3", "@SUM(A1)", " =1+1", "\t=1", "\r=1", "＝1", "'=1", "-", "=", "+ab")
HIDDEN = ("\u202e", "\u2066", "\u200f", "\x1b[2J", "\x00", "\x07", "\x9b", "\u2028", "\ufeff", "\udce9", "\U000e0041")
NUMBERS = ("-1", "-1.5", "+5", "-1e-05", "-.5", "1", "")


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_gets_a_sign_in_front_and_comes_back(text: str) -> None:
    made = cell(text)
    assert isinstance(made, str)
    assert made.startswith(("'", "<U+"))
    assert from_cell(made) == text


@pytest.mark.parametrize("hidden", HIDDEN)
def test_hidden_characters_are_shown_everywhere_and_come_back_from_a_cell(hidden: str) -> None:
    text = f"P{hidden}01"
    assert f"<U+{ord(hidden[0]):04X}>" in visible(text)
    assert hidden[0] not in visible(text)
    made = cell(text)
    assert isinstance(made, str)
    assert made.isprintable()
    assert from_cell(made) == text


@pytest.mark.parametrize("text", NUMBERS)
def test_negative_numbers_stay_numbers(text: str) -> None:
    assert cell(text) == text
    assert cell(-1.5) == -1.5


def test_plain_names_stay_as_they_are() -> None:
    for text in ("P01", "Zoë", "walking upstairs", "a-b", "x=y", "人", "میروم", "<b>", "U+202E", "<U+XY>"):
        assert cell(text) == text
        assert visible(text) == text


def test_tabs_and_line_ends_stay_in_pages_and_messages() -> None:
    assert visible("one\n\ttwo\r") == "one\n\ttwo<U+000D>"


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(codec=None)) | st.text("=+-@'<U>2E0;, \"\n\t\r\u202e\\"))
def test_any_text_comes_back_and_no_cell_begins_a_formula(text: str) -> None:
    made = cell(text)
    assert isinstance(made, str)
    assert from_cell(made) == text
    assert not any(hidden in made for hidden in "\u202e\t\n\r\x1b")
    try:
        float(made)
    except ValueError:
        assert made.lstrip()[:1] not in tuple("=+-@")


def test_a_table_that_was_written_is_read_back_with_its_names(tmp_path: Path) -> None:
    header = ("recording", "=activity", "value")
    rows = [("=cmd", "wal\u202eking", -1.5), ("a;=b", 'say "x", y', -2)]
    path = tmp_path / "table.csv"
    path.write_text(csv_text(header, rows), encoding="utf-8")
    assert read_csv(path) == [{k: str(v) for k, v in zip(header, row, strict=True)} for row in rows]
    written = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
    assert written[0][1] == "'=activity"
    assert written[1] == ["'=cmd", "wal<U+202E>king", "-1.5"]


def test_a_frame_keeps_its_numbers_and_its_own_content() -> None:
    frame = pd.DataFrame(
        {
            "subject": pd.Series(["=1+1", "P2", None], dtype=object),
            "kind": pd.Categorical(["-x", "b", "b"]),
            "value": [-1.0, np.nan, 2.0],
            "shots": [-1, 2, 3],
            "good": [True, False, True],
        }
    )
    safe = safe_frame(frame)
    assert safe["subject"].tolist()[:2] == ["'=1+1", "P2"]
    assert safe["kind"].tolist() == ["'-x", "b", "b"]
    assert frame["subject"][0] == "=1+1"
    pd.testing.assert_frame_equal(safe[["value", "shots", "good"]], frame[["value", "shots", "good"]])
    assert safe.to_csv(index=False).splitlines()[1] == "'=1+1,'-x,-1.0,-1,True"
