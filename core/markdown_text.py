"""Text from data in Markdown: it ends no cell, starts no HTML, makes no link, and loads no picture."""

from __future__ import annotations

from collections.abc import Sequence

from core.shown_text import visible


def plain(text: str) -> str:
    """Escape a text for a line of Markdown; signs of emphasis and of code stay."""
    shown = visible(text).replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;").replace("|", r"\|")
    return shown.replace("](", r"]\(").replace("\n", " ")


def code(text: str) -> str:
    """Write a text as code, also in the cell of a table."""
    shown = visible(text).replace("|", r"\|").replace("`", "'").replace("\n", " ")
    return f"`{shown}`"


def cell(text: str) -> str:
    """Escape a text for the cell of a table; signs of emphasis are escaped too."""
    return plain(text).replace("*", r"\*")


def row(texts: Sequence[str]) -> str:
    """Write the row of a table, each text as a :func:`cell`."""
    return f"| {' | '.join(map(cell, texts))} |"


def rule(columns: int) -> str:
    """Write the line below a table's heading."""
    return f"| {' | '.join(['---'] * columns)} |"
