"""Variables of a MATLAB file, with errors for a person."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from datamodules.recording import FloatArray, RecordingError

_HEADER_BYTES = 128  # of a MATLAB 5 file


def read_mat(path: Path) -> dict[str, Any]:
    """All variables of a file.

    Raises:
        RecordingError: it isn't there, or is no MATLAB file of a version up to 7.
    """
    if not path.is_file():
        raise RecordingError(f"{path}: not there")
    if path.stat().st_size < _HEADER_BYTES:
        raise RecordingError(f"{path}: truncated: {path.stat().st_size} bytes are less than a header")
    try:
        content = loadmat(path)
    # What scipy raises on damaged files, by where the damage is; a damaged size may ask for any memory.
    except (
        MatReadError,
        ValueError,
        TypeError,
        OSError,
        NotImplementedError,
        KeyError,
        IndexError,
        OverflowError,
        MemoryError,
        zlib.error,
        struct.error,
    ) as error:
        raise RecordingError(f"{path}: not a readable MATLAB file: {error}") from error
    return {str(name): value for name, value in content.items() if not str(name).startswith("__")}


def numbers(path: Path, content: dict[str, Any], name: str, columns: int) -> FloatArray:
    """One variable of numbers, (N, columns).

    Raises:
        RecordingError: it isn't there, isn't of this shape, or holds what is no number.
    """
    if name not in content:
        raise RecordingError(f"{path}: no variable '{name}'; it has: {', '.join(sorted(content)) or 'none'}")
    values = np.asarray(content[name])
    if values.ndim != 2 or values.shape[1] != columns or values.dtype.kind not in "fiu":
        raise RecordingError(f"{path}: {name} is {values.dtype} {values.shape}; expected numbers (N, {columns})")
    return values.astype(np.float64)
