"""Shares of each room's lines that the tests run; ``make coverage`` prints them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from coverage import Coverage

ROOT = Path(__file__).resolve().parents[2]


def room_of(path: Path) -> str:
    """Name the room of a file: its folder in a package; files directly in a package are one room together."""
    parts = path.relative_to(ROOT).parts
    return "/".join(parts[:2]) if len(parts) > 2 else parts[0]


def table(counts: Iterable[tuple[str, int, int]]) -> str:
    """Write one line a room, and one for all.

    Args:
        counts: the room, the lines and the missed lines of each file.
    """
    lines: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    for room, n, n_missed in counts:
        lines[room] += n
        missed[room] += n_missed
    rows = [(room, n, missed[room]) for room, n in sorted(lines.items()) if n]
    rows.append(("all", lines.total(), missed.total()))
    width = max(len(room) for room, *_ in rows)
    return "\n".join(
        [f"{'room':{width}}  lines  missed  covered"]
        + [f"{room:{width}}  {n:5}  {m:6}  {100 * (n - m) / max(n, 1):5.1f} %" for room, n, m in rows]
    )


def measured() -> Iterable[tuple[str, int, int]]:
    """Read the last measurement, file by file."""
    coverage = Coverage()
    coverage.load()
    for name in sorted(coverage.get_data().measured_files()):
        _, statements, _, missing, _ = coverage.analysis2(name)
        yield room_of(Path(name)), len(statements), len(missing)


if __name__ == "__main__":
    print(table(measured()))
