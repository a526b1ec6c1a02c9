"""The page of examples: every file of examples/, whole."""

from __future__ import annotations

import ast
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

FOLDER = Path(__file__).resolve().parents[2] / "examples"
PAGE = "examples.md"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page."""
    files.append(File.generated(config, PAGE, content=page()))
    return files


def page() -> str:
    """Write a section for each file: its name and its code."""
    lines = ["# Examples", "", "Each is a file of `examples/` that fits one screen. The tests run all of them, and the"]
    lines += ["one that converts weights where its file is at hand."]
    for path in sorted(FOLDER.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        title = (ast.get_docstring(ast.parse(text)) or path.stem).split(":")[0]
        lines += ["", f"## {title}", "", f'```python title="examples/{path.name}"', text.rstrip(), "```"]
    return "\n".join(lines) + "\n"
