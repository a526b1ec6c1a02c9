"""Links between pages and source files.

The name of a module on a page, `` `encoders/contract.py` ``, becomes a link to its API page. A link to a file outside
of docs/, which works in the repository, becomes plain text: the file is not on the site.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"(?<!\[)`((?:core|datamodules|encoders|lightning_modules|experiments)/[\w/]*?)(\.py|/)`(?!\])")
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(((?:\.\./)+[^)\s#]+)\)")


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite a page, outside of its blocks of code."""
    if page.file.src_uri.startswith("api/"):
        return markdown
    folder = (Path(config.docs_dir) / page.file.src_uri).parent

    def on_site(match: re.Match[str]) -> str:
        return match[0] if (folder / match[2]).resolve().is_relative_to(config.docs_dir) else match[1]

    parts = _FENCE.split(markdown)
    return "".join(part if part.startswith("```") else _FILE.sub(_linked, _LINK.sub(on_site, part)) for part in parts)


def _linked(match: re.Match[str]) -> str:
    path = ROOT / f"{match[1]}{match[2]}"
    package = path.is_dir() and (path / "__init__.py").is_file()
    if not package and not (path.is_file() and path.suffix == ".py"):
        return match[0]
    name = match[1].replace("/", ".").removesuffix(".__init__")
    return f"[`{match[1]}{match[2]}`][{name}]"
