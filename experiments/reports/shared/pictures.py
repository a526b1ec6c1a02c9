"""Pictures as files: whole or not there; what is shown in several places is drawn once."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from core.durable import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# By figure, then by format and resolution.
_DRAWN: WeakKeyDictionary[Figure, dict[tuple[str, float], bytes]] = WeakKeyDictionary()


def png_of(figure: Figure, dpi: float) -> bytes:
    """Draw a finished figure as PNG, or give what was drawn of it before; the same figure gives the same bytes."""
    return _once(figure, "png", dpi)


def svg_of(figure: Figure, dpi: float) -> bytes:
    """Draw a finished figure as SVG with letters as shapes, or give what was drawn of it before.

    The same figure gives the same bytes.
    """
    return _once(figure, "svg", dpi)


def draw(figure: Figure, kind: str, dpi: float) -> bytes:
    """Draw a figure as ``png`` or ``svg``."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    if kind == "png":
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
        return buffer.getvalue()
    # A fixed salt and no date, so that the same figure gives the same file.
    with mpl.rc_context({"svg.hashsalt": "report", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", dpi=dpi, metadata={"Date": None, "Creator": None})
    return re.sub(rb"<metadata>.*?</metadata>", b"", buffer.getvalue(), flags=re.DOTALL)


def keep(figure: Figure, kind: str, dpi: float, data: bytes) -> None:
    """Take a picture that another process drew; :func:`png_of` or :func:`svg_of` gives it from now on."""
    _DRAWN.setdefault(figure, {})[kind, dpi] = data


def save_figure(figure: Figure, path: Path, dpi: float) -> None:
    """Write a figure in the format that the file's name ends in, PNG if it has no ending.

    Raises:
        NoSpaceError: the disk is full; an earlier picture is still there.
    """
    kind = path.suffix[1:] or "png"
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=dpi, format=kind))


def _once(figure: Figure, kind: str, dpi: float) -> bytes:
    drawn = _DRAWN.setdefault(figure, {})
    if (kind, dpi) not in drawn:
        drawn[kind, dpi] = draw(figure, kind, dpi)
    return drawn[kind, dpi]
