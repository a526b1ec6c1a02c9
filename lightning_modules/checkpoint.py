"""Reading of checkpoints: whole, as they were written, and as data only.

A checkpoint is a zip archive, and each of its records carries a checksum (CRC-32) that torch writes but does not look
at when it reads. Here every record is held to it, so that a flipped bit is found before it becomes a weight.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from core.errors import MendableError

_CHUNK = 1 << 20


class CheckpointError(MendableError, ValueError):
    """A checkpoint that can't be used; the message names the file and what is wrong."""


def read_checkpoint(path: str | Path, map_location: Any = "cpu", needs: Iterable[str] = ()) -> dict[str, Any]:
    """Read a checkpoint's content.

    Args:
        path: of the file.
        map_location: device of the tensors, as :func:`torch.load` takes it.
        needs: entries that it must have.

    Raises:
        CheckpointError: it is missing, torn, damaged or no checkpoint, or lacks an entry.
    """
    _check_records(path)
    try:
        content = torch.load(path, map_location=map_location, weights_only=True)
    except (
        Exception
    ) as error:  # whatever a file from outside makes torch raise; its own advice is to run the file's code
        raise CheckpointError(
            f"{path}: not a checkpoint: torch can't read it as data ({type(error).__name__})"
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: not a checkpoint: it holds {type(content).__name__}, expected a dict")
    missing = [name for name in needs if name not in content]
    if missing:
        raise CheckpointError(f"{path}: not a checkpoint: {', '.join(map(repr, missing))} missing")
    return content


def _check_records(path: str | Path) -> None:
    record = ""
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                record = info.filename
                with archive.open(info) as file:
                    while file.read(_CHUNK):
                        pass
    except FileNotFoundError as error:
        raise CheckpointError(f"no checkpoint '{path}'") from error
    except (
        Exception
    ) as error:  # zipfile raises a dozen kinds for a damaged archive, an OSError without a file among them
        if isinstance(error, OSError) and error.filename is not None:
            raise
        if record:
            raise CheckpointError(
                f"{path}: damaged: its record '{record}' is not as it was written; use a copy, or an earlier checkpoint"
            ) from error
        raise CheckpointError(f"{path}: not a checkpoint, or a torn one: torch can't read the file") from error
