"""Files below a study's folder that no pattern of its manifest matches: misnamed recordings are found by it."""

from __future__ import annotations

import os
from pathlib import Path

from datamodules.sources.manifest import Manifest

_NAMED = 5
_MOST = 200_000  # entries that are looked at
_NO_DATA = {".yaml", ".yml", ".md", ".png", ".jpg", ".jpeg", ".pdf", ".html", ".py", ".m", ".r", ".ipynb", ".log"}


def unmatched_files(source: Manifest) -> str:
    """How many there are, with the first names; "" for none. Hidden files, pictures and documents don't count."""
    matched: set[Path] = set()
    folders: set[Path] = set()
    for group in source.groups.values():
        matched |= group.matched([r for r in source.recordings.values() if r.group == group.name])
        folders |= group.folders()
    known = {os.path.realpath(path) for path in matched}
    strange: list[str] = []
    looked = 0
    seen: set[str] = set()
    for folder in sorted(folders):
        for at, names, files in os.walk(folder):
            names[:] = sorted(name for name in names if not name.startswith("."))
            for name in sorted(files):
                looked += 1
                path = f"{at}/{name}"
                real = os.path.realpath(path)
                ignored = name.startswith(".") or Path(name).suffix.lower() in _NO_DATA
                if real not in known and real not in seen and not ignored:
                    strange.append(path)
                seen.add(real)
            if looked > _MOST:
                break
    if not strange:
        return ""
    more = f" and {len(strange) - _NAMED} more" if len(strange) > _NAMED else ""
    number = f"{len(strange)} file{'' if len(strange) == 1 else 's'}"
    return f"{number} below the study's folder match no pattern: {', '.join(strange[:_NAMED])}{more}"
