"""Files of actigraphs, read by the optional package actipy: Axivity ``.cwa``, ActiGraph ``.gt3x``, GENEActiv ``.bin``.

actipy decodes with Java programs that come with it, and holds a whole file: 20 to 44 bytes a sample, of an AX3 28. That
is 1.7 GB for a week at 100 Hz, and more while it reads. It is licensed for academic use only.

Shape legend: N samples.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.recording import RecordingError

CWA, GT3X, GENEACTIV = "cwa", "gt3x", "geneactiv"
UNITS = {"x": "g", "y": "g", "z": "g", "gyro_x": "deg/s", "gyro_y": "deg/s", "gyro_z": "deg/s"}
_SUFFIXES = {CWA: ".cwa", GT3X: ".gt3x", GENEACTIV: ".bin"}
_DEVICES = {CWA: "an Axivity", GT3X: "an ActiGraph", GENEACTIV: "a GENEActiv"}
_BEGINS = {CWA: b"MD", GT3X: b"PK", GENEACTIV: b"Device Identity"}
_STRETCHED, _FEWEST_STRETCHED = 1.4, 10  # times the median step, and steps in a row
_LARGEST_LOG = 4 << 30  # bytes of a .gt3x, unpacked: ten weeks at 100 Hz


@dataclass
class Actigraphy:
    """What a device measured.

    Attributes:
        times: (N,) int64 nanoseconds since 1970 as the device's own clock, which knows no zone, shows them.
        values: column -> (N,) float32; ``x y z`` in g, ``gyro_x gyro_y gyro_z`` in deg/s, ``temperature``, ``light``.
        faults: seconds or blocks that actipy left out: damaged, or with stamps that go back.
        said: what actipy said about it, in its words.
        stretched: samples behind a lost packet of an Axivity that were left out here: actipy lets them begin where the
            lost packet began, up to a second early.
    """

    times: NDArray[np.int64]
    values: dict[str, NDArray[np.float32]]
    faults: int
    said: str
    stretched: int


def read_actigraphy(path: Path, form: str) -> Actigraphy:
    """Read a whole file, as the device recorded it: no filter, no calibration, no resampling.

    Args:
        path: of the file.
        form: ``CWA``, ``GT3X`` or ``GENEACTIV``.

    Raises:
        RecordingError: actipy or Java is missing, or the file is, or it is none of such a device, or damaged.
    """
    _check_file(path, form)
    try:
        import actipy
    except ImportError as error:
        raise RecordingError(
            f"{path}: to read {_SUFFIXES[form]} files the package actipy is needed: pip install actipy, or this "
            "package's extra 'actigraphy' (licensed for academic use only); or export the file as CSV"
        ) from error
    if shutil.which("java") is None:
        raise RecordingError(
            f"{path}: to read {_SUFFIXES[form]} files Java 8 or later is needed, and there is no program 'java'; "
            "install one, e.g. apt-get install default-jre-headless"
        )
    said: list[str] = []
    try:
        with _errors_kept(said), contextlib.redirect_stdout(io.StringIO()):
            data, info = actipy.read_device(
                str(path),
                lowpass_hz=None,
                calibrate_gravity=False,
                detect_nonwear=False,
                resample_hz=None,
                verbose=False,
            )
    except (
        subprocess.SubprocessError,
        OSError,
        EOFError,
        ValueError,
        KeyError,
        AssertionError,
        StopIteration,
    ) as error:
        cause = said[0] if said else f"{type(error).__name__}: {str(error)[:200]}"
        raise RecordingError(f"{path}: no file of {_DEVICES[form]} that can be read: {cause}") from error
    if not len(data):
        raise RecordingError(f"{path}: there is no sample in it")
    times = data.index.to_numpy("datetime64[ns]").astype(np.int64)
    values = {str(name): data[name].to_numpy(np.float32) for name in data.columns}
    stretched = _stretched(times) if form == CWA else np.empty(0, np.int64)
    if stretched.size:
        times = np.delete(times, stretched)
        values = {name: np.delete(column, stretched) for name, column in values.items()}
    return Actigraphy(times, values, int(info.get("ReadErrors", 0)), said[0] if said else "", int(stretched.size))


def _stretched(times: NDArray[np.int64]) -> NDArray[np.int64]:
    """Samples of packets that actipy spreads over a lost one, too: many steps in a row that are far too long."""
    if times.size < 2:
        return np.empty(0, np.int64)
    steps = np.diff(times)
    long = steps > _STRETCHED * np.median(steps)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], long.astype(np.int8), [0]])))
    runs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    return np.concatenate([np.empty(0, np.int64), *(np.arange(a, b) for a, b in runs if b - a >= _FEWEST_STRETCHED)])


def _check_file(path: Path, form: str) -> None:
    """Before a program of others gets it: does it look like such a file, and what does it unpack to?"""
    try:
        with path.open("rb") as file:
            begin = file.read(64)
    except FileNotFoundError as error:
        raise RecordingError(f"{path}: not there") from error
    except OSError as error:
        raise RecordingError(f"{path}: can't be read: {error.strerror or error}") from error
    if begin.startswith(b"\x1f\x8b"):
        raise RecordingError(f"{path}: it is packed; expected {_SUFFIXES[form]} files unpacked")
    if path.suffix.lower() != _SUFFIXES[form] or not begin.startswith(_BEGINS[form]):
        raise RecordingError(
            f"{path}: no file of {_DEVICES[form]}: it begins with {begin[:16]!r}; expected {_BEGINS[form]!r} in a file "
            f"whose name ends in {_SUFFIXES[form]}"
        )
    if form == GT3X:
        try:
            with zipfile.ZipFile(path) as archive:
                size = sum(entry.file_size for entry in archive.infolist())
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
            raise RecordingError(f"{path}: no .gt3x that can be read: {str(error)[:200]}") from error
        if size > _LARGEST_LOG:
            raise RecordingError(f"{path}: it unpacks to {size} bytes; expected at most {_LARGEST_LOG}")


@contextlib.contextmanager
def _errors_kept(lines: list[str]) -> Iterator[None]:
    """Keep what a program that is started in here says on standard error, which would drown the message about it."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as kept:
        before = os.dup(2)
        try:
            os.dup2(kept.fileno(), 2)
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)
            kept.seek(0)
            lines += [line.strip()[:300] for line in kept.read(1 << 16).decode(errors="replace").splitlines()]


def columns_of(values: dict[str, Any]) -> list[str]:
    """Names of the columns, that of the stamps first."""
    return ["time", *values]
