"""Text from data in Markdown: it ends no cell, starts no HTML, and hides nothing."""

from __future__ import annotations

from collections.abc import Sequence

from core.shown_text import visible


def plain(text: str) -> str:
    """Escape a text for a line of Markdown."""
    return visible(text).replace("&", "&amp;").replace("<", "&lt;").replace("|", r"\|").replace("\n", " ")


def row(texts: Sequence[str]) -> str:
    """Write the row of a table; no text is taken for markup."""
    return "| " + " | ".join(plain(text).replace("*", r"\*") for text in texts) + " |"


def rule(columns: int) -> str:
    """Write the line below a table's heading."""
    return "| " + " | ".join(["---"] * columns) + " |"
