"""Docstrings for the API pages: their reStructuredText marks become Markdown.

``:class:`encoders.contract.ImuEncoder` `` becomes a link, a table of ``=====`` lines a block of plain text.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:class|func|meth|mod|data|attr):`~?([\w.]+)`")
_OURS = re.compile(r"(?:core|datamodules|encoders|lightning_modules|experiments)\.")
_TABLE = re.compile(r"^( *)(=+(?: +=+)+)\n(.*\n)\1\2$", re.DOTALL | re.MULTILINE)


class DocstringMarks(griffe.Extension):
    """Rewrites every docstring once it is read."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(text: str) -> str:
    """Rewrite marks; the rest stays as it is."""
    text = _ROLE.sub(lambda match: _link(match[1]), text)
    text = _TABLE.sub(lambda match: f"{match[1]}```text\n{match[3]}{match[1]}```", text)
    return re.sub(r"::$", ":", text, flags=re.MULTILINE)


def _link(name: str) -> str:
    return f"[`{name}`][{name}]" if _OURS.match(name) else f"`{name}`"
