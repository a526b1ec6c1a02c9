"""The folder of small inputs that once came in wrong, which are never part of the repository."""

import os
from pathlib import Path

import pytest


def case(name: str) -> Path:
    """The folder of one case, e.g. ``import/13_truncated_row``; skips the test if it isn't on this machine."""
    default = Path(__file__).resolve().parents[3] / "shared" / "cases"
    root = Path(os.environ.get("IMU_VIDEO_HAR_CASES", default))
    if not (root / name).is_dir():
        pytest.skip(f"needs the case {root / name} (or set IMU_VIDEO_HAR_CASES)")
    return root / name
