"""The page of all settings, made from the schema: name, type, default and line of help."""

from __future__ import annotations

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from experiments.settings.load import describe

PAGE = "settings.md"
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
    lines, group = [_INTRODUCTION], ""
    for path, kind, default, text in describe():
        above = path.split(".")[0] if "." in path else "top level"
        if above != group:
            group = above
            lines += [f"\n## {group}\n", "| setting | type | default | meaning |", "| --- | --- | --- | --- |"]
        lines.append("| " + " | ".join(map(_cell, (f"`{path}`", f"`{_short(kind)}`", f"`{default}`", text))) + " |")
    return "\n".join(lines) + "\n"


def _short(kind: str) -> str:
    """A type without the modules that its parts come from."""
    return kind.replace("experiments.settings.schema.", "").replace("experiments.settings.evaluation.", "")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
