"""Hall with a gallery, a staircase down to the lower floor, and furniture along the walls.

Motion and cameras use the same hall: people sit on the chairs that cameras show. x runs along the hall, z up, z = 0 on
the lower floor. The middle of both floors is free for walking.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

RISER, TREAD, STEPS = 0.17, 0.28, 12
UPPER = RISER * STEPS  # height of the gallery, metres
STAIRS_END = TREAD * (STEPS - 1)
LENGTH_UP, LENGTH_DOWN, HALF_WIDTH = 8.0, 13.0, 3.4
CEILING = UPPER + 2.8
STAIRS_HALF_WIDTH = 0.9


@dataclass(frozen=True)
class Area:
    """A rectangle free for walking, at a height of ``floor`` metres."""

    x: tuple[float, float]
    y: tuple[float, float]
    floor: float

    @property
    def centre(self) -> tuple[float, float]:
        """Middle of the area."""
        return 0.5 * (self.x[0] + self.x[1]), 0.5 * (self.y[0] + self.y[1])

    def point(self, rng: np.random.Generator, inset: float = 0.0) -> tuple[float, float]:
        """Draw a random point at least ``inset`` metres from the edges."""
        return (
            float(rng.uniform(self.x[0] + inset, self.x[1] - inset)),
            float(rng.uniform(self.y[0] + inset, self.y[1] - inset)),
        )


@dataclass(frozen=True)
class Seat:
    """A chair or the edge of a bed: a person stands at (x, y), faces ``facing`` and sits ``height`` above ``floor``."""

    x: float
    y: float
    facing: float  # radians
    height: float
    floor: float
    is_bed: bool = False


@dataclass(frozen=True)
class Box:
    """An axis-aligned box: corners in metres, a material's name and a tint."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    material: str
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Hall:
    """One furnished hall."""

    style: int
    upper: Area
    lower: Area
    seats: tuple[Seat, ...]
    boxes: tuple[Box, ...]


def make_hall(seed: int, style: int) -> Hall:
    """Furnish a hall; equal arguments give equal halls."""
    rng = np.random.default_rng([seed, 21, style])
    boxes: list[Box] = [
        Box((-LENGTH_UP, -HALF_WIDTH, 0.0), (0.0, HALF_WIDTH, UPPER), "floor"),
    ]
    for k in range(1, STEPS):
        boxes.append(
            Box(
                (TREAD * (k - 1), -STAIRS_HALF_WIDTH, 0.0),
                (TREAD * k, STAIRS_HALF_WIDTH, UPPER - RISER * k),
                "step",
                (0.9, 0.85, 0.75) if k % 2 else (0.7, 0.65, 0.6),
            )
        )
    seats: list[Seat] = []
    side = 1.0 if rng.random() < 0.5 else -1.0
    for x, floor, wall in (
        (rng.uniform(-3.2, -2.0), UPPER, side),
        (rng.uniform(5.8, 6.8), 0.0, -side),
        (rng.uniform(9.4, 10.6), 0.0, side),
    ):
        _chair(boxes, seats, float(x), floor, wall, rng)
    _bed(boxes, seats, float(rng.uniform(6.6, 7.2)), side, rng)
    _clutter(boxes, side, rng)
    return Hall(
        style=style,
        upper=Area((-6.6, -1.4), (-1.5, 1.5), UPPER),
        lower=Area((STAIRS_END + 1.5, 11.4), (-1.5, 1.5), 0.0),
        seats=tuple(seats),
        boxes=tuple(boxes),
    )


def _tint(rng: np.random.Generator) -> tuple[float, float, float]:
    red, green, blue = (float(c) for c in rng.uniform(0.35, 1.0, 3))
    return red, green, blue


def _span(wall: float, near: float, far: float) -> tuple[float, float]:
    """Return the range of y from ``near`` to ``far`` metres off the middle, towards one of the two long walls."""
    return (near, far) if wall > 0 else (-far, -near)


def _chair(boxes: list[Box], seats: list[Seat], x: float, floor: float, wall: float, rng: np.random.Generator) -> None:
    height, tint = float(rng.uniform(0.43, 0.48)), _tint(rng)
    y0, y1 = _span(wall, 2.05, 2.55)
    boxes.append(Box((x - 0.27, y0, floor), (x + 0.27, y1, floor + height), "fabric", tint))
    y0, y1 = _span(wall, 2.50, 2.60)
    boxes.append(Box((x - 0.27, y0, floor), (x + 0.27, y1, floor + 0.95), "fabric", tint))
    seats.append(Seat(x, wall * 1.90, -wall * math.pi / 2, height, floor))


def _bed(boxes: list[Box], seats: list[Seat], x: float, wall: float, rng: np.random.Generator) -> None:
    height, tint = float(rng.uniform(0.42, 0.50)), _tint(rng)
    y0, y1 = _span(wall, 2.05, 3.10)
    boxes.append(Box((x - 1.25, y0, 0.0), (x + 1.25, y1, height), "quilt", tint))
    boxes.append(Box((x - 1.35, y0, 0.0), (x - 1.25, y1, 0.95), "wood", (0.8, 0.6, 0.4)))
    boxes.append(Box((x + 1.25, y0, 0.0), (x + 1.35, y1, 0.95), "wood", (0.8, 0.6, 0.4)))
    seats.append(Seat(x, wall * 1.90, -wall * math.pi / 2, height, 0.0, is_bed=True))


def _clutter(boxes: list[Box], side: float, rng: np.random.Generator) -> None:
    """Add shelves, tables and pictures outside the areas for walking."""
    for x, floor, wall in ((-5.5, UPPER, -side), (-6.5, UPPER, side), (8.6, 0.0, -side), (11.6, 0.0, -side)):
        x += float(rng.uniform(-0.4, 0.4))
        y0, y1 = _span(wall, 2.85, HALF_WIDTH)
        height, half = float(rng.uniform(0.8, 1.9)), float(rng.uniform(0.3, 0.6))
        boxes.append(Box((x - half, y0, floor), (x + half, y1, floor + height), "shelf", _tint(rng)))
    for x in np.arange(-7.0, 12.5, 2.6):
        floor = UPPER if x < 0.0 else 0.0
        for wall in (-1.0, 1.0):
            if rng.random() < 0.25:
                continue
            centre, half = float(x + rng.uniform(-0.6, 0.6)), float(rng.uniform(0.25, 0.6))
            low = floor + float(rng.uniform(1.15, 1.4))
            y0, y1 = _span(wall, HALF_WIDTH - 0.04, HALF_WIDTH)
            top = low + float(rng.uniform(0.5, 0.9))
            boxes.append(Box((centre - half, y0, low), (centre + half, y1, top), "poster", _tint(rng)))
    for x, floor in ((-LENGTH_UP, UPPER), (LENGTH_DOWN - 0.04, 0.0)):
        y = float(rng.uniform(-1.5, 1.5))
        boxes.append(Box((x, y - 0.8, floor + 1.0), (x + 0.04, y + 0.8, floor + 2.2), "poster", _tint(rng)))
