"""Links from names of source files: `` `encoders/contract.py` `` on a page leads to that module's API page."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"(?<!\[)`((?:core|datamodules|encoders|lightning_modules|experiments)/[\w/]*?)(\.py|/)`(?!\])")


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn names of modules and rooms into links, outside of code."""
    parts = _FENCE.split(markdown)
    return "".join(part if part.startswith("```") else _FILE.sub(_linked, part) for part in parts)


def _linked(match: re.Match[str]) -> str:
    path = ROOT / f"{match[1]}{match[2]}"
    package = path.is_dir() and (path / "__init__.py").is_file()
    if not package and not (path.is_file() and path.suffix == ".py"):
        return match[0]
    name = match[1].replace("/", ".").removesuffix(".__init__")
    return f"[`{match[1]}{match[2]}`][{name}]"
