"""Names from data in Markdown: a table keeps its columns whatever they hold."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from core.markdown_text import plain, row, rule


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4))
def test_a_row_has_as_many_cells_as_texts(texts: list[str]) -> None:
    heading = row([f"c{i}" for i in range(len(texts))])
    table = "\n".join([heading, rule(len(texts)), row(texts)])
    tokens = [token.type for token in MarkdownIt().enable("table").parse(table)]
    assert tokens.count("td_open") == len(texts)
    assert tokens.count("tr_open") == 2
    assert not any("html" in kind for kind in tokens)


def test_signs_that_mean_something() -> None:
    assert row(["a|b", "2*3*4", "<b>"]) == r"| a\|b | 2\*3\*4 | &lt;b> |"
    assert plain("one\ntwo & \x1b") == "one two &amp; &lt;U+001B>"
    assert rule(2) == "| --- | --- |"
