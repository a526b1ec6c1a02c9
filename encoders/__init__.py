"""IMU, video and text encoders; :mod:`encoders.registry` finds IMU and video encoders by name.

``load_imu_encoder`` is a door: it opens a pretrained encoder for arrays. What it leads to needs shards, signals and
checkpoints, which nothing in this package may import. So the room behind it is in another package, ``DOORS`` names it,
and it is imported when somebody asks for it, never by this package itself.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Name -> module. tests/test_packaging.py lists the same: a door is an exception from the rules of imports.
DOORS = {"load_imu_encoder": "experiments.inference.encoder"}


def __getattr__(name: str) -> Any:
    if name in DOORS:
        return getattr(import_module(DOORS[name]), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
