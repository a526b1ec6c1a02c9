"""A file of an actigraph as a table: ``time``, ``x y z``, ``gyro_x gyro_y gyro_z``, ``temperature``, ``light``.

Shape legend: N samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.formats.actigraphy import UNITS, Actigraphy, columns_of, read_actigraphy
from datamodules.recording import FloatArray, RecordingError
from datamodules.sources.manifest.errors import shown
from datamodules.sources.manifest.table import NUMBER, TEXT, TIME, Table, Wanted, positions

_ROWS = 1 << 16  # of a batch


class ActigraphyTable(Table):
    """Times are those of the device's clock; it knows no zone, and is not put forward in spring."""

    def __init__(self, path: Path, form: str, wanted: Sequence[Wanted]) -> None:
        """Reads the file.

        Raises:
            RecordingError: it can't be read, lacks a column, or the manifest says other units than the device has.
        """
        super().__init__(path, wanted)
        data = read_actigraphy(path, form)
        self._form, self._data = form, [data]  # empty once its content was given
        self._rows = data.times.size
        names = columns_of(data.values)
        self._names = [names[p] for p in positions(self.wanted, names, len(names), str(path))]
        for entry, name in zip(self.wanted, self._names, strict=True):
            self._check(entry, name)
        if data.faults:
            said = f" ({data.said})" if data.said else ""
            self.notes.append(f"actipy found {data.faults} faults in {path.name}, and left them out{said}")
        if data.stretched:
            self.notes.append(
                f"{data.stretched} samples of {path.name} behind lost packets left out: when they were taken "
                "can't be told"
            )

    def most_rows(self) -> int:
        """N."""
        return self._rows

    def batches(self) -> Iterator[list[NDArray[Any]]]:
        """See :class:`Table`; the file's content is given free at the end."""
        data = self._data.pop() if self._data else read_actigraphy(self.path, self._form)
        begin = self._begin(data)
        for first in range(0, self._rows, _ROWS):
            rows = slice(first, min(first + _ROWS, self._rows))
            yield [
                begin + (data.times[rows] - data.times[0]) / 1e9
                if name == "time"
                else data.values[name][rows].astype(np.float64)
                for name in self._names
            ]

    def place(self, row: int) -> str:
        """``sample 17``."""
        return f"sample {row + 1}"

    def _begin(self, data: Actigraphy) -> float:
        """Seconds since 1970 of the first sample; one zone's offset holds for all, as the device's clock goes on."""
        entry = next((w for w in self.wanted if w.kind == TIME), None)
        if entry is None or entry.time is None:
            return 0.0
        first: FloatArray = entry.time.read_stamps(data.times[:1], np.zeros(1, bool), False)
        return float(first[0])

    def _check(self, entry: Wanted, name: str) -> None:
        where = f"{self.path}, column {shown(name)} ({entry.what})"
        if (name == "time") != (entry.kind == TIME) or (entry.time is not None and not entry.time.dated):
            raise RecordingError(
                f"{where}: the device's times are dates; expected time: {{column: time, unit: iso8601}}"
            )
        if entry.kind == TEXT:
            raise RecordingError(f"{where}: it holds numbers; expected labels in a table of their own")
        if entry.kind == NUMBER and entry.unit != UNITS.get(name, entry.unit):
            raise RecordingError(
                f"{where}: the device gives {UNITS[name]}, the manifest says {entry.unit}; expected unit: {UNITS[name]}"
            )
