"""Finished cells, kept so that an interrupted evaluation continues.

One JSON line a cell in ``cells.jsonl``, handed to the system as soon as it is there, so that a killed process loses
none, and synced to the disk every ``SYNC_S`` seconds, so that a power cut costs no more than these.
A line that a killed process left torn, or that
something else wrote, is ignored and listed in :attr:`CellStore.ignored`, and its cell computed again. A cell whose
data, checkpoint or settings have changed has another key and is simply not found.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from experiments.evaluation.cells import Cell, CellResult

SYNC_S = 1.0


class CellStore:
    """Results by the key of their cell.

    Args:
        path: of the file; it need not exist.

    Attributes:
        ignored: a message for each line of the file that is no finished cell.
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
        """The cell's result, if it is finished."""
        return self._results.get(cell.key)

    def __enter__(self) -> CellStore:
        """Nothing to do; leaving syncs what was added."""
        return self

    def __exit__(self, *_: object) -> None:
        self._sync()

    def add(self, result: CellResult) -> None:
        """Keep a result; when this returns, killing the process does not lose it."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": result.cell.key, **result.to_json()}) + "\n")
        self._results[result.cell.key] = result
        if time.monotonic() - self._synced > SYNC_S:
            self._sync()

    def _sync(self) -> None:
        if self.path.is_file():
            with self.path.open("rb") as file:
                os.fsync(file.fileno())
        self._synced = time.monotonic()

    def _read(self) -> None:
        # Broken bytes become a broken line, not an error about the whole file.
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
            # The next line must not be glued to the torn one.
            with self.path.open("a", encoding="utf-8") as file:
                file.write("\n")


def _finished_cell(line: str) -> CellResult | str:
    """The cell that a line holds, or why it holds none."""
    try:
        content = json.loads(line)
    except json.JSONDecodeError:
        return "not whole, as a killed process leaves it"
    if not isinstance(content, dict) or "key" not in content:
        return "not a finished cell"
    key = content.pop("key")
    try:
        result = CellResult.from_json(content)
    except (KeyError, TypeError):
        return "a cell of another version of this program"
    return result if result.cell.key == key else "changed since it was written"
