"""A column of times that is left unread because a rate was declared, held against that rate.

Shape legend: N samples.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from datamodules.recording import FloatArray, RecordingError
from datamodules.sources.manifest import units
from datamodules.sources.manifest.spec import ImuSpec
from datamodules.sources.manifest.stamps.text_times import ISO, TimeText
from datamodules.sources.manifest.table import NUMBER, TIME, Table, Wanted
from datamodules.sources.manifest.tables import open_table

_NAMES = re.compile(r"time|stamp|epoch|elapsed|unix|zeit|^t$|^t[ _(\[]|^(secs?|seconds|ms|millis)$", re.IGNORECASE)
_MOST = 3  # columns that are looked at
_LEAST = 50  # samples
_OFF = 0.05  # share by which the rates may differ


def notes_on_rate(table: Table, spec: ImuSpec) -> list[str]:
    """What a column of times says of the declared rate, where they differ.

    Args:
        table: that was opened, for the names of its columns.
        spec: how it is written; nothing is said where it names a column of times.
    """
    if spec.time.column is not None:
        return []
    wanted = {str(w.column).strip() for w in table.wanted}
    likely = [name for name in table.names if _NAMES.search(name.strip()) and name.strip() not in wanted]
    for name in likely[:_MOST]:
        rates = _rates(table.path, spec, name.strip(), table.wanted[0])
        if any(abs(rate / spec.time.rate_hz - 1) <= _OFF for rate in rates.values()):
            return []
        believable = {unit: rate for unit, rate in rates.items() if units.SLOWEST_HZ <= rate <= units.FASTEST_HZ}
        if believable:
            read = " or ".join(f"{rate:.4g} Hz in {unit}" for unit, rate in believable.items())
            return [
                f"{table.path.name}: column '{name.strip()}', which is not read, has {read} on average; the declared "
                f"rate is {spec.time.rate_hz:g} Hz: declare the column instead, or another rate (or were samples lost?)"
            ]
    return []


def _rates(path: Path, spec: ImuSpec, name: str, other: Wanted) -> dict[str, float]:
    """Samples a second on average, by the unit that the column may have; empty if it holds no times."""
    for kind, text in ((NUMBER, None), (TIME, TimeText(ISO))):
        try:
            table = open_table(path, spec.format, spec.csv, [Wanted(name, kind, "time", text), other], salvage=True)
            stamps: FloatArray = np.asarray(next(table.batches())[0], np.float64)
        except (RecordingError, StopIteration):
            continue
        steps = np.diff(stamps)
        length = float(stamps[-1] - stamps[0]) if stamps.size else 0.0
        # A number that grows by one a row counts samples.
        if stamps.size < _LEAST or not (steps >= 0).all() or not length > 0 or (kind == NUMBER and (steps == 1).all()):
            return {}
        rate = (stamps.size - 1) / length
        return {ISO: rate} if text is not None else {unit: rate / s for unit, s in units.SECONDS.items()}
    return {}
