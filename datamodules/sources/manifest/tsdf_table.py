"""The channels of TSDF files as one table: metadata with a file of times and a file of samples, or more.

Shape legend: N rows, n rows of a batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from datamodules.formats.tsdf import ABSOLUTE, DIFFERENCE, TsdfFile, read_metadata
from datamodules.recording import FloatArray, RecordingError
from datamodules.sources.manifest import units
from datamodules.sources.manifest.errors import shown
from datamodules.sources.manifest.spec import TsdfSpec
from datamodules.sources.manifest.stamps.text_times import TimeTextError
from datamodules.sources.manifest.table import NUMBER, TEXT, TIME, Table, Wanted, positions

_ROWS = 1 << 16  # of a batch
_SPELLINGS = {
    "m/s/s": "m/s^2", "m/s2": "m/s^2", "m/s**2": "m/s^2", "m/s²": "m/s^2", "ms^-2": "m/s^2", "m.s^-2": "m/s^2",
    "dps": "deg/s", "degrees/s": "deg/s", "°/s": "deg/s", "degree/s": "deg/s",
}  # fmt: skip
_COMPARED = ("m/s^2", "g", "mg", "rad/s", "deg/s", *units.SECONDS)


class TsdfTable(Table):
    """All channels that metadata describe; a channel that several files have is named ``file.bin:channel``."""

    def __init__(self, path: Path, spec: TsdfSpec, wanted: Sequence[Wanted]) -> None:
        """Reads the metadata, and compares the files' sizes with it.

        Raises:
            RecordingError: it is no such metadata, lacks a channel, or a file isn't what it says.
        """
        super().__init__(path, wanted)
        self._spec = spec
        found = [(file, c) for file in read_metadata(path) for c in range(len(file.channels))]
        many = Counter(file.channels[c] for file, c in found)
        names = [
            file.channels[c] if many[file.channels[c]] == 1 else f"{file.path.name}:{file.channels[c]}"
            for file, c in found
        ]
        self._channels = [found[p] for p in positions(self.wanted, names, len(names), str(path))]
        first = self._channels[0][0]
        for file, _ in self._channels:
            if file.rows != first.rows:
                raise RecordingError(
                    f"{path}: {first.path.name} has {first.rows} rows, {file.path.name} {file.rows}; expected channels "
                    "of one clock in an entry of 'imu', and an entry for each clock"
                )
        self._rows = first.rows
        self._factors = [
            self._factor(entry, file, c) for entry, (file, c) in zip(self.wanted, self._channels, strict=True)
        ]
        self._starts = [self._start(i) if entry.kind == TIME else 0.0 for i, entry in enumerate(self.wanted)]
        self._compare_units()

    def most_rows(self) -> int:
        """N, as the metadata say and the files' sizes confirm."""
        return self._rows

    def batches(self) -> Iterator[list[NDArray[Any]]]:
        """See :class:`Table`."""
        if not self._rows:
            raise RecordingError(f"{self.path}: there is nothing in its files: rows is 0")
        sums = [0.0] * len(self.wanted)  # of differences, up to the batch
        for first in range(0, self._rows, _ROWS):
            last = min(first + _ROWS, self._rows)
            blocks = {file.path: file.read(first, last) for file in dict.fromkeys(file for file, _ in self._channels)}
            batch: list[NDArray[Any]] = []
            for i, (entry, (file, c)) in enumerate(zip(self.wanted, self._channels, strict=True)):
                values = blocks[file.path][:, c].astype(np.float64) * self._factors[i]
                if entry.what == "time" and self._encoding(file) == DIFFERENCE:
                    values = np.cumsum(values) + sums[i]
                    sums[i] = float(values[-1])
                if entry.kind == TIME:
                    values = self._starts[i] + values * units.SECONDS[file.units[c]]
                batch.append(self._texts(i, values) if entry.kind == TEXT else values)
            yield batch

    def place(self, row: int) -> str:
        """``row 17``."""
        return f"row {row + 1}"

    def _texts(self, index: int, values: FloatArray) -> NDArray[Any]:
        texts = [None if np.isnan(value) else f"{value:.15g}" for value in values.tolist()]
        return self.vocabularies[index].encode(pa.array(texts, pa.string()))

    def _encoding(self, file: TsdfFile) -> str:
        return self._spec.time or file.time_encoding

    def _factor(self, entry: Wanted, file: TsdfFile, channel: int) -> float:
        """What a channel's numbers are multiplied by."""
        factor = file.scale_factors[channel]
        if factor == 1.0 or self._spec.scale_factors == "ignore":
            return 1.0
        if file.dtype.kind == "f" and self._spec.scale_factors != "apply":
            raise RecordingError(
                f"{self.path}: channel {shown(file.channels[channel])} ({entry.what}) has decimals and a scale "
                f"factor of {factor:g}: it may be in its unit already; set tsdf.scale_factors: apply or ignore"
            )
        return factor

    def _start(self, index: int) -> float:
        """Seconds since 1970 that a relative time counts from; 0 for times that count from 1970."""
        entry, (file, c) = self.wanted[index], self._channels[index]
        assert entry.time is not None
        if entry.time.unit != "iso8601" or entry.time.format:
            raise RecordingError(
                f"{self.path}: {entry.what} should be {entry.time.expected}; expected a unit such as ms, or iso8601 "
                "for dates and times by start_iso8601"
            )
        if file.units[c] not in units.SECONDS:
            known = ", ".join(units.SECONDS)
            raise RecordingError(
                f"{self.path}: the unit of channel {shown(file.channels[c])} is {shown(file.units[c])}; expected one "
                f"of {known}"
            )
        encoding = self._encoding(file)
        if not encoding:
            raise RecordingError(
                f"{self.path}: nothing says what channel {shown(file.channels[c])} counts from (time_encode); set "
                "tsdf.time: relative (to start_iso8601), absolute (to 1970) or difference (to the sample before)"
            )
        if encoding == ABSOLUTE:
            entry.time.offsets.add(True)
            return 0.0
        try:
            return entry.time.read_one(file.start)
        except TimeTextError as error:
            raise RecordingError(
                f"{self.path}: start_iso8601 is {file.start[:60]!r}; expected a date and time, e.g. "
                "2019-10-15T10:39:17.025Z"
            ) from error

    def _compare_units(self) -> None:
        """Note where the metadata say another unit than the manifest; no factor of the manifest is changed."""
        for entry, (file, c) in zip(self.wanted, self._channels, strict=True):
            said = _SPELLINGS.get(file.units[c].replace(" ", ""), file.units[c])
            if entry.kind == NUMBER and said in _COMPARED and entry.unit and said != entry.unit:
                self.notes.append(
                    f"channel {shown(file.channels[c])} ({entry.what}) is in {said} by the file's metadata, and in "
                    f"{entry.unit} by the manifest, which was taken: which is right?"
                )
