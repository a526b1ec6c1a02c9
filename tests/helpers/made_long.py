"""Long made recordings of an accelerometer: lying about in many ways, worn, and on a table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datamodules.signal import G

RATE_HZ = 20.0


def lying_about(
    orientations: int, noise: float = 0.002, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times, and true accelerations in g: ten seconds each way, ways spread evenly over the sphere.

    Args:
        orientations: how many.
        noise: standard deviation of a sample, g.
        seed: of the noise.
    """
    k = np.arange(orientations) + 0.5
    height, angle = 1 - 2 * k / orientations, np.pi * (1 + 5**0.5) * k
    around = np.sqrt(1 - height**2)
    ways = np.stack([around * np.cos(angle), around * np.sin(angle), height], axis=1)
    samples = round(10 * RATE_HZ)
    true = np.repeat(ways, samples, axis=0)
    true += noise * np.random.default_rng(seed).normal(size=true.shape)
    return np.arange(len(true)) / RATE_HZ, true


def nights(parts: list[tuple[float, bool]], seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times, and accelerations in m/s^2.

    Args:
        parts: minutes, and whether the sensor was worn.
        seed: of movement and noise.
    """
    rng = np.random.default_rng(seed)
    scales = np.repeat(
        [0.2 if worn else 0.003 for _, worn in parts], [round(minutes * 60 * RATE_HZ) for minutes, _ in parts]
    )
    values = rng.normal(size=(len(scales), 3)) * scales[:, None] + np.array([0.0, 0.6, 0.8])
    return np.arange(len(values)) / RATE_HZ, values * G
