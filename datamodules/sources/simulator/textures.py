"""Procedural materials with mip levels, in one flat table that a renderer indexes with arrays.

Shape legend: K texels of all materials and levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

MATERIALS = ("floor", "wall", "ceiling", "step", "fabric", "quilt", "wood", "shelf", "poster")
SIZE = 128  # texels a side at the finest level
LEVELS = 6
TEXELS_PER_METRE = {
    "floor": 64.0,
    "wall": 64.0,
    "ceiling": 40.0,
    "step": 80.0,
    "fabric": 160.0,
    "quilt": 80.0,
    "wood": 120.0,
    "shelf": 100.0,
    "poster": 110.0,
}

FloatImage = NDArray[np.float32]


@dataclass(frozen=True)
class Atlas:
    """The pyramids of all materials.

    Texel (u, v) of level l of material m is at ``m * stride + level_start[l] + (v % size) * size + u % size``
    with ``size = SIZE >> l``.
    """

    texels: FloatImage  # (K, 3) 0..1
    stride: int
    level_start: NDArray[np.int32]
    density: FloatImage  # (materials,) texels a metre


def make_atlas(seed: int, style: int) -> Atlas:
    """Paint all materials of one style; equal arguments give equal materials."""
    rng = np.random.default_rng([seed, 31, style])
    starts = np.cumsum([0] + [(SIZE >> level) ** 2 for level in range(LEVELS)])
    pyramids = []
    for material in MATERIALS:
        image = _paint(material, rng)
        for _ in range(LEVELS):
            pyramids.append(image.reshape(-1, 3))
            image = 0.25 * (image[::2, ::2] + image[1::2, ::2] + image[::2, 1::2] + image[1::2, 1::2])
    return Atlas(
        texels=np.ascontiguousarray(np.concatenate(pyramids), dtype=np.float32),
        stride=int(starts[-1]),
        level_start=starts[:-1].astype(np.int32),
        density=np.array([TEXELS_PER_METRE[m] for m in MATERIALS], dtype=np.float32),
    )


def _noise(rng: np.random.Generator, sigma: float) -> NDArray[np.float64]:
    """Draw seamless smooth noise of unit deviation."""
    field = gaussian_filter(rng.normal(size=(SIZE, SIZE)), sigma, mode="wrap")
    return np.asarray(field / field.std())


def _colour(rng: np.random.Generator, low: float, high: float, saturation: float) -> NDArray[np.float64]:
    grey = rng.uniform(low, high)
    return np.clip(grey + saturation * rng.uniform(-0.5, 0.5, 3), 0.05, 1.0)


def _paint(material: str, rng: np.random.Generator) -> NDArray[np.float64]:
    v, u = np.mgrid[0:SIZE, 0:SIZE]
    grain = 0.05 * _noise(rng, 0.7) + 0.06 * _noise(rng, 5.0)
    base = np.ones((SIZE, SIZE, 3)) * _colour(rng, 0.5, 0.8, 0.35)
    other = _colour(rng, 0.25, 0.6, 0.5)
    if material == "floor":
        if rng.random() < 0.5:  # planks
            plank = u // 16
            seam = (u % 16 == 0) | ((v + 37 * plank) % 64 == 0)
            shade = rng.uniform(0.75, 1.1, (SIZE // 16, 4))[plank, ((v + 37 * plank) // 64) % 4]
        else:  # tiles
            seam = (u % 32 < 2) | (v % 32 < 2)
            shade = np.where(((u // 32) + (v // 32)) % 2 == 0, 1.0, rng.uniform(0.45, 0.8))
        image = base * shade[..., None]
        image[seam] *= 0.45
    elif material == "wall":
        kind = int(rng.integers(3))
        image = base * rng.uniform(1.0, 1.2)
        if kind == 0:  # bricks
            row = v // 16
            image *= rng.uniform(0.8, 1.1, (8, 4))[row, ((u + 16 * (row % 2)) // 32) % 4][..., None]
            image[(v % 16 < 2) | ((u + 16 * (row % 2)) % 32 < 2)] *= 0.65
        elif kind == 1:  # stripes
            image[(u // 8) % 4 == 0] = 0.5 * image[(u // 8) % 4 == 0] + 0.5 * other
        else:  # dotted wallpaper
            image[((u % 32) - 16) ** 2 + ((v % 32) - 16) ** 2 < 40] = other
    elif material == "ceiling":
        image = np.full((SIZE, SIZE, 3), 0.9)
        image[(u % 64 < 3) | (v % 64 < 3)] = 0.7
    elif material == "fabric":
        image = base * np.where((u // 4 + v // 4) % 2 == 0, 1.0, 0.8)[..., None]
    elif material == "quilt":
        image = np.where((((u // 32) + (v // 32)) % 2 == 0)[..., None], base, other)
    elif material in ("wood", "step"):
        image = base * (1.0 + 0.12 * np.sin(0.35 * u + 2.0 * _noise(rng, 8.0)))[..., None]
    elif material == "shelf":
        spines = rng.uniform(0.15, 1.0, (4, SIZE // 8, 3))
        image = spines[v // 32, u // 8]
        image[v % 32 < 5] = 0.3
    else:  # a poster: blobs of colour
        image = np.stack([0.5 + 0.35 * _noise(rng, 9.0) for _ in range(3)], axis=-1)
        image += 0.15 * _noise(rng, 3.0)[..., None]
    return np.asarray(np.clip(image * (1.0 + grain[..., None]), 0.02, 1.0))
