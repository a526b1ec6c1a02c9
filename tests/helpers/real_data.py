"""Place of real recordings, which are never part of the repository."""

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


def gopro_clip() -> Path:
    """A real clip with motion data; skips the test if it isn't on this machine, or nothing can read that here."""
    needs_telemetry_parser()
    return real_data("gopro") / "max-heromode.mp4"


def needs_telemetry_parser() -> None:
    """Skip the test where the package can't be had, as for Python 3.13."""
    pytest.importorskip("telemetry_parser", reason="needs telemetry-parser, which can't be had for this Python")
