"""Names from data in Markdown: a table keeps its columns whatever they hold."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from core.markdown_text import cell, code, plain, row, rule

HOSTILE = [
    "a|b",
    "<script>alert(1)</script>",
    "![i](http://t/x.png)",
    "[x](http://a)",
    "*a*",
    "\\*x\\*",
    "\\|",
    "a&lt;b",
]


def parsed(text: str) -> list[Token]:
    """Give all tokens, those inside lines too."""
    found = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    return [inner for token in found for inner in (token, *(token.children or []))]


@given(st.lists(st.text() | st.sampled_from(HOSTILE), min_size=1, max_size=4))
@example(HOSTILE)
def test_a_row_has_as_many_cells_as_texts(texts: list[str]) -> None:
    heading = row([f"c{i}" for i in range(len(texts))])
    kinds = [token.type for token in parsed("\n".join([heading, rule(len(texts)), row(texts)]))]
    assert kinds.count("td_open") == len(texts)
    assert kinds.count("tr_open") == 2
    assert not {"html_inline", "html_block", "link_open", "image"} & set(kinds)


@pytest.mark.parametrize("name", ["plain name", "a|b", "2*3*4", "a&b", "<b>", "back\\slash", "sp_sw_har"])
def test_a_name_is_shown_as_it_is(name: str) -> None:
    for written in (cell(name), code(name)):
        tokens = parsed("\n".join([row(["c"]), rule(1), f"| {written} |"]))
        shown = "".join(t.content for t in tokens if t.type in ("text", "code_inline", "text_special"))
        assert shown == f"c{name}"


def test_lines_are_no_paragraphs_and_hidden_signs_are_seen() -> None:
    assert plain("one\ntwo \x1b") == "one two &lt;U+001B>"
    assert rule(2) == "| --- | --- |"
