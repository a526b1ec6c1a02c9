"""Rendering of HTML pages that need no other file, with one style and one script for all pages."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from core.shown_text import visible

_SHARED = Path(__file__).parent


def render(template: str, *folders: Path, **content: object) -> str:
    """Render a page. Text from data is escaped, hidden characters are shown, and no script but the page's own may run.

    Args:
        template: name of the template's file.
        folders: folders with templates, and perhaps a ``page.css``, besides those that all pages share.
        content: variables of the template.

    Returns:
        The page, with its style, its script, and the digest of the script for the page's security policy.
    """
    environment = Environment(
        loader=FileSystemLoader([*folders, _SHARED]),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        finalize=_shown,
    )
    script = (_SHARED / "page.js").read_text(encoding="utf-8")
    return environment.get_template(template).render(
        css="".join(
            (folder / "page.css").read_text(encoding="utf-8")
            for folder in (_SHARED, *folders)
            if (folder / "page.css").is_file()
        ),
        script=script,
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        **content,
    )


def _shown(value: object) -> object:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
