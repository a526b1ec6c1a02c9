"""The repository's own pages on the site: README.md is its home page, CONTRIBUTING.md and CHANGELOG.md are pages too.

Their links are written for the repository; here they lead to the site's pages.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Give a change log a place behind the other references, where the repository has one."""
    if (ROOT / "CHANGELOG.md").is_file():
        for entry in config.nav or []:
            if isinstance(entry, dict) and "Reference" in entry:
                entry["Reference"].append({"Changes": PAGES["CHANGELOG.md"]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    for source, page in PAGES.items():
        path = ROOT / source
        if path.is_file():
            files.append(File.generated(config, page, content=for_site(path.read_text(encoding="utf-8"))))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> None:
    """Leave the navigation beside a page out where the page is a section of its own."""
    if page.parent is None:
        page.meta["hide"] = ["navigation"]


def for_site(text: str) -> str:
    """Rewrite links of a page in the repository's root: to pages of the site; to any other file, as its name alone."""

    def rewritten(match: re.Match[str]) -> str:
        picture, title, target = match.groups()
        page, _, anchor = target.partition("#")
        if "://" in target or not page:
            return match[0]
        page = PAGES.get(page) or page.removeprefix("docs/")
        if page.endswith(".md") or picture:
            return f"{picture}[{title}]({page}{'#' + anchor if anchor else ''})"
        return title

    return _LINK.sub(rewritten, text)
