"""Where tests find real recordings, which are never part of the repository."""

import os
from pathlib import Path

import pytest


def real_data(name: str) -> Path:
    """The folder of one real data set; skips the test if it isn't on this machine."""
    default = Path(__file__).resolve().parents[3] / "shared" / "data"
    root = Path(os.environ.get("IMU_VIDEO_HAR_DATA", default))
    if not (root / name).is_dir():
        pytest.skip(f"needs the real data {root / name} (or set IMU_VIDEO_HAR_DATA)")
    return root / name
