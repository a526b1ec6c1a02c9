"""Finished cells, kept so that an interrupted evaluation continues.

One JSON line a cell in ``cells.jsonl``, each flushed to the disk. A line that a killed process left torn is
dropped; a cell whose data, checkpoint or settings have changed has another key and is simply not found.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from experiments.cells import Cell, CellResult


class CellStore:
    """Results by the key of their cell."""

    def __init__(self, path: Path) -> None:
        self.path = path
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
        text = self.path.read_text(encoding="utf-8")
        for line in text.splitlines():
            try:
                content = json.loads(line)
            except json.JSONDecodeError:
                continue  # torn by a killed process; the cell is computed again
            key = content.pop("key")
            try:
                result = CellResult.from_json(content)
            except TypeError:
                continue  # of another version of this file's format
            if result.cell.key == key:
                self._results[key] = result
        if text and not text.endswith("\n"):
            # The next line must not be glued to the torn one.
            with self.path.open("a", encoding="utf-8") as file:
                file.write("\n")
