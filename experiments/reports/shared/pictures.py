"""Pictures as files: whole or not there; what is shown in several places is drawn once."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from core.durable import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DRAWN: WeakKeyDictionary[Figure, dict[float, bytes]] = WeakKeyDictionary()


def png_of(figure: Figure, dpi: float) -> bytes:
    """Draw a finished figure as PNG, or give what was drawn of it before; the same figure gives the same bytes."""
    drawn = _DRAWN.setdefault(figure, {})
    if dpi not in drawn:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
        drawn[dpi] = buffer.getvalue()
    return drawn[dpi]


def save_figure(figure: Figure, path: Path, dpi: float) -> None:
    """Write a figure in the format that the file's name ends in, PNG if it has no ending.

    Raises:
        NoSpaceError: the disk is full; an earlier picture is still there.
    """
    kind = path.suffix[1:] or "png"
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=dpi, format=kind))
