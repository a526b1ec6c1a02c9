"""Pictures as files: whole or not there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from core.durable import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_figure(figure: Figure, path: Path, dpi: float) -> None:
    """Write a figure in the format that the file's name ends in, PNG if it has no ending.

    Raises:
        NoSpaceError: the disk is full; an earlier picture is still there.
    """
    kind = path.suffix[1:] or "png"
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=dpi, format=kind))
