"""Finished cells, kept so that an interrupted evaluation continues.

One JSON line a cell in ``cells.jsonl``, each flushed to the disk. A line that a killed process left torn, or that
something else wrote, is ignored and listed in :attr:`CellStore.ignored`, and its cell computed again. A cell whose
data, checkpoint or settings have changed has another key and is simply not found.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from experiments.cells import Cell, CellResult


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
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            self._read()

    def __len__(self) -> int:
        return len(self._results)

    def get(self, cell: Cell) -> CellResult | None:
        """The cell's result, if it is finished."""
        return self._results.get(cell.key)

    def add(self, result: CellResult) -> None:
        """Keep a result; when this returns it is on the disk."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": result.cell.key, **result.to_json()}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._results[result.cell.key] = result

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
