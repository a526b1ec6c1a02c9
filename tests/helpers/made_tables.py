"""A sensor with known turns as a table with a manifest, and what check_import says of it."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from datamodules.recording import FloatArray
from datamodules.signal import G

MANIFEST = """
groups:
  g:
    zero: first_sample
    imu:
      - files: "{subject}.csv"
        time: {column: t, unit: s}
        sensors:
          wrist:
            acceleration: {columns: [ax, ay, az], unit: m/s^2}
            gyroscope: {columns: [gx, gy, gz], unit: rad/s}
"""


def turning(n: int = 6000, rate: float = 100.0) -> tuple[FloatArray, FloatArray]:
    """A copy of :func:`turned`, to be changed."""
    times, values = turned(n, rate)
    return times.copy(), values.copy()


@functools.cache
def turned(n: int, rate: float) -> tuple[FloatArray, FloatArray]:
    """A sensor that is turned about by known rates, and rests in between; gravity by exact rotation. (N,), (N, 6)."""
    rng = np.random.default_rng(0)
    times = np.arange(n) / rate
    moving = (times // 4) % 2 == 1
    waves = [rng.normal(size=3) * np.sin(2 * np.pi * f * times[:, None] + rng.uniform(0, 6, 3)) for f in (0.2, 0.5)]
    spin = np.sum(waves, axis=0) * moving[:, None]
    up = np.empty((n, 3))
    now = np.array([0.1, 0.3, 0.95])
    for i in range(n):
        up[i] = now = now / np.linalg.norm(now)
        # Second order: the turn by -spin within one step, as the sensor sees it.
        half = now - np.cross(spin[i], now) / rate / 2
        now = now - np.cross(spin[i], half) / rate
    noise = rng.normal(0, 1, (n, 6)) * ([0.02] * 3 + [0.002] * 3)
    return times, np.concatenate([G * up, spin], axis=1) + noise


def write(folder: Path, times: FloatArray, values: FloatArray, manifest: str = MANIFEST) -> Path:
    lines = [",".join(f"{v:.5f}" for v in row) for row in np.column_stack([times, values])]
    (folder / "P1.csv").write_text("\n".join(["t,ax,ay,az,gx,gy,gz", *lines]) + "\n")
    (folder / "m.yaml").write_text(manifest)
    return folder / "m.yaml"
