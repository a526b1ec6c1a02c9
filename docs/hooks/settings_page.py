"""The page of all settings, made from the schema: name, type, default and line of help."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from experiments.settings.descriptions import describe

DOCS = Path(__file__).resolve().parents[1]
PAGE = "settings.md"
_SINGLE = "Without a group"
_INTRODUCTION = """# Settings

Every setting, as `python -m experiments.pretrain --help` prints them. A YAML file sets some of them; the command line
comes last and wins:

```bash
python -m experiments.pretrain utd_mhad trainer.max_epochs=5 loss.order.weight=0 --print-config
```

`--print-config` shows what a run would use. A mistyped name is an error that says which name may be meant. In a name,
`<name>` stands for a name of your choice, and `<i>` for a place in a list.
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page."""
    files.append(File.generated(config, PAGE, content=page()))
    return files


def page() -> str:
    """Write a table for each group of settings."""
    groups: dict[str, list[str]] = {_SINGLE: []}
    settings = list(describe())
    named = {path.split(".")[0] for path, *_ in settings if "." in path}
    for path, kind, default, text in settings:
        first = path.split(".")[0]
        cells = (f"`{path}`", f"`{_short(kind)}`", f"`{_spaced(default)}`", _linked(text.replace("<", "&lt;")))
        row = "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
        groups.setdefault(first if first in named else _SINGLE, []).append(row)
    lines = [_INTRODUCTION]
    for group, rows in groups.items():
        lines += [f"\n## {group}\n", "| setting | type | default | meaning |", "| --- | --- | --- | --- |", *rows]
    return "\n".join(lines) + "\n"


def _spaced(default: str) -> str:
    """A list that can be wrapped."""
    return default if ", " in default else default.replace(",", ", ")


def _linked(text: str) -> str:
    """A line of help whose page is a link."""
    page = re.search(r"docs/([\w/-]+\.md)", text)
    return text.replace(page[0], f"[{Path(page[1]).stem}]({page[1]})") if page and (DOCS / page[1]).is_file() else text


def _short(kind: str) -> str:
    """A type without the modules that its parts come from."""
    return kind.replace("experiments.settings.schema.", "").replace("experiments.settings.evaluation.", "")
