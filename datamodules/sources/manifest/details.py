"""The table of what differs between recordings: population, clock offset, the video's start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from datamodules.recording import RecordingError
from datamodules.sources.manifest.csv_faults import python_rows
from datamodules.sources.manifest.csv_table import separator_of
from datamodules.sources.manifest.errors import ManifestError
from datamodules.sources.manifest.spec import DetailsSpec


class Details:
    """Rows by the values of their key columns.

    Raises:
        ManifestError: the table isn't there, has no column that is a group of the IMU pattern, or has ragged or
            repeated rows.
    """

    def __init__(self, path: Path, spec: DetailsSpec, groups: Sequence[str]) -> None:
        """``groups`` are those of the IMU pattern."""
        self.path = path
        try:
            rows = list(python_rows(path, spec.csv, separator_of(path, spec.csv), spec.csv.skip_lines))
        except RecordingError as error:
            raise ManifestError(str(error)) from error
        if not rows:
            raise ManifestError(f"{path}: there is nothing in it")
        line, fields = rows[0]
        header = [field.strip() for field in fields]
        if twice := sorted({name for name in header if header.count(name) > 1}):
            raise ManifestError(f"{path}, line {line}: the column '{twice[0]}' is there more than once")
        self._keys = [name for name in groups if name in header]
        if not self._keys:
            raise ManifestError(
                f"{path}, line {line}: no column says whose row it is: found {', '.join(header)[:200]}; expected one of"
                f" {', '.join(groups) or 'none: the pattern has no groups'}"
            )
        self.columns = tuple(name for name in header if name not in self._keys)
        self._rows: dict[tuple[str, ...], dict[str, str]] = {}
        for number, values in rows[1 + spec.csv.skip_below_header :]:
            if len(values) != len(header):
                raise ManifestError(f"{path}, line {number}: {len(values)} columns; the header has {len(header)}")
            row = dict(zip(header, (value.strip() for value in values), strict=True))
            key = tuple(row[name] for name in self._keys)
            if key in self._rows:
                raise ManifestError(f"{path}, line {number}: there is a row for {self._name(row)} already")
            self._rows[key] = row

    def of(self, groups: Mapping[str, str]) -> dict[str, str]:
        """The row of a recording, without its keys.

        Raises:
            ManifestError: it has none.
        """
        key = tuple(groups[name] for name in self._keys)
        if key not in self._rows:
            raise ManifestError(f"{self.path}: no row for {self._name(groups)}; expected one a recording")
        row = self._rows[key]
        return {name: row[name] for name in self.columns}

    def _name(self, row: Mapping[str, str]) -> str:
        return ", ".join(f"{name} {row[name]}" for name in self._keys)
