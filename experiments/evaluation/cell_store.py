"""A file of finished cells, so that an interrupted evaluation continues.

``cells.jsonl`` holds one line of JSON for each cell. A line is handed to the operating system at once, so a killed
process loses none. It is synced to the disk every ``SYNC_S`` seconds, so a power cut loses no more than these.

Some lines are ignored: those that a killed process left torn, and those that something else wrote. They are listed in
:attr:`CellStore.ignored`, and their cells are computed again. A cell whose data, checkpoint or settings have changed
has another key and is not found. A line carries the digest of its whole content, so that no result is believed that was
changed afterwards.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from experiments.evaluation.cells import Cell, CellResult, key_of, with_present_names

SYNC_S = 1.0


class CellStore:
    """Results by the keys of their cells.

    Args:
        path: path of the file, which need not exist.

    Attributes:
        ignored: one message for each line of the file that holds no finished cell.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ignored: list[str] = []
        self._results: dict[str, CellResult] = {}
        self._synced = time.monotonic()
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            self._read()

    def __len__(self) -> int:
        return len(self._results)

    def get(self, cell: Cell) -> CellResult | None:
        """Look up the result of a cell; None if the cell is not finished."""
        return self._results.get(cell.key)

    def __enter__(self) -> CellStore:
        """Enter a context whose exit syncs the added results."""
        return self

    def __exit__(self, *_: object) -> None:
        self._sync()

    def add(self, result: CellResult) -> None:
        """Keep a result; once this returns, a killed process does not lose it."""
        with self.path.open("a", encoding="utf-8") as file:
            content = {"key": result.cell.key, **result.to_json()}
            file.write(json.dumps({"digest": _digest(content), **content}) + "\n")
        self._results[result.cell.key] = result
        if time.monotonic() - self._synced > SYNC_S:
            self._sync()

    def _sync(self) -> None:
        if self.path.is_file():
            with self.path.open("rb") as file:
                os.fsync(file.fileno())
        self._synced = time.monotonic()

    def _read(self) -> None:
        # A broken byte then spoils its own line, not the whole file.
        text = self.path.read_text(encoding="utf-8", errors="replace")
        for number, line in enumerate(text.split("\n"), start=1):
            if not line:
                continue
            result = _finished_cell(line)
            if isinstance(result, CellResult):
                self._results[result.cell.key] = result
            else:
                self.ignored.append(f"{self.path}, line {number}: {result}; its cell is computed again")
        if text and not text.endswith("\n"):
            # Otherwise the next line would be glued to the torn one.
            with self.path.open("a", encoding="utf-8") as file:
                file.write("\n")


def _finished_cell(line: str) -> CellResult | str:
    """Read a line: its finished cell, or the reason why it holds none."""
    try:
        content = json.loads(line)
    except (json.JSONDecodeError, RecursionError):
        return "not whole, as a killed process leaves it"
    if not isinstance(content, dict) or "key" not in content:
        return "not a finished cell"
    digest = content.pop("digest", None)  # version 0.1.0 wrote none
    if digest is not None and digest != _digest(content):
        return "changed since it was written"
    key, fields = content.pop("key"), content.get("cell")
    if not isinstance(fields, dict):
        return "a cell of another version of this program"
    try:
        result = CellResult.from_json({**content, "cell": with_present_names(fields)})
    except (KeyError, TypeError):
        return "a cell of another version of this program"
    # The key is a digest over the names under which the fields were written.
    return result if key_of(fields) == key else "changed since it was written"


def _digest(content: dict[str, Any]) -> str:
    # Results may hold NaN, which the canonical form refuses; Python's JSON reads back the floats that it wrote.
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]
