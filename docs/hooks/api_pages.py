"""The API pages: one for each package and each of its rooms, made from docstrings by mkdocstrings."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docstrings import as_markdown
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("core", "datamodules", "encoders", "lightning_modules", "experiments")
OVERVIEW = "api/index.md"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the pages to the navigation."""
    config.nav = [*(config.nav or []), {"API": [OVERVIEW, *(_entry(ROOT / name) for name in PACKAGES)]}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    files.append(File.generated(config, OVERVIEW, content=_overview()))
    for package in PACKAGES:
        for room in rooms(ROOT / package):
            files.append(File.generated(config, page_of(room), content=_page(room)))
    return files


def rooms(folder: Path) -> Iterator[Path]:
    """All packages at and below a folder."""
    yield folder
    for path in sorted(folder.iterdir()):
        if (path / "__init__.py").is_file():
            yield from rooms(path)


def modules(room: Path) -> list[str]:
    """Names of a room itself and of the modules directly in it."""
    name = ".".join(room.relative_to(ROOT).parts)
    return [name, *(f"{name}.{path.stem}" for path in sorted(room.glob("*.py")) if path.name != "__init__.py")]


def page_of(room: Path) -> str:
    """The path of a room's page on the site."""
    return f"api/{'/'.join(room.relative_to(ROOT).parts)}/index.md"


def _page(room: Path) -> str:
    name, *others = modules(room)
    # The title carries the room's own anchor, which links to it look for.
    lines = [f"# `{'/'.join(room.relative_to(ROOT).parts)}/` {{ #{name} }}\n", f"::: {name}", "    options:"]
    lines += [
        "        show_submodules: false",
        "        show_root_heading: false",
        "        show_root_toc_entry: false\n",
    ]
    return "\n".join([*lines, *(f"::: {other}" for other in others)]) + "\n"


def _overview() -> str:
    lines = [
        "# API\n",
        "All packages and their rooms, from the docstrings. [Architecture](../architecture.md) has them in reading",
    ]
    lines += ["order.\n", "| room | content |", "| --- | --- |"]
    for package in PACKAGES:
        for room in rooms(ROOT / package):
            name = "/".join(room.relative_to(ROOT).parts)
            text = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8"))) or ""
            lines.append(f"| [`{name}/`]({name}/index.md) | {as_markdown(text.splitlines()[0])} |")
    return "\n".join(lines) + "\n"


def _entry(room: Path) -> dict[str, Any]:
    inner = [_entry(path) for path in sorted(room.iterdir()) if (path / "__init__.py").is_file()]
    return {room.name: [page_of(room), *inner] if inner else page_of(room)}
