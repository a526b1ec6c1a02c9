"""Renderer of the hall, which casts every pixel's ray against textured walls and boxes.

Shape legend: H height, W width of the image. Camera axes: x right, y down, z forward.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from datamodules.recording import FloatArray
from datamodules.sources.simulator.hall import (
    CEILING,
    HALF_WIDTH,
    LENGTH_DOWN,
    LENGTH_UP,
    Hall,
    make_hall,
)
from datamodules.sources.simulator.textures import LEVELS, MATERIALS, SIZE, Atlas, make_atlas

FloatImage = NDArray[np.float32]
SHELL_LOW = (-LENGTH_UP, -HALF_WIDTH, 0.0)
SHELL_HIGH = (LENGTH_DOWN, HALF_WIDTH, CEILING)
# Light on faces perpendicular to x, y and z (the last face up); different values make edges visible.
FACE_LIGHT = np.array([0.78, 0.92, 1.0], dtype=np.float32)


@dataclass(frozen=True)
class View:
    """A camera at one moment.

    Attributes:
        origin: (3,) world position, metres.
        rotation: (3, 3) camera-to-world.
        height, width: size of the image, pixels.
        focal: focal length, pixels.
    """

    origin: FloatArray
    rotation: FloatArray
    height: int
    width: int
    focal: float

    def rays(self) -> FloatImage:
        """Compute the world directions of the pixels' rays, (3, H, W), of unit length."""
        camera = _camera_rays(self.height, self.width, round(self.focal, 3))
        world = self.rotation.astype(np.float32) @ camera
        return np.ascontiguousarray(world.reshape(3, self.height, self.width))

    def project(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Project world points (n, 3) to pixel positions (n, 2) as (column, row), and depths (n,) along the view."""
        inside = (points - self.origin) @ self.rotation
        depth = inside[:, 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            pixels = self.focal * inside[:, :2] / depth[:, None]
        return pixels + 0.5 * np.array([self.width - 1, self.height - 1]), depth

    def windows(self, points: FloatArray, radius: FloatArray | float = 0.0) -> list[tuple[slice, slice] | None]:
        """Bound the rows and columns that can show each of K hulls.

        Args:
            points: (K, n, 3) whose hulls they are.
            radius: (K,) metres by which they are grown, or one for all.

        Returns:
            Rows and columns of each, None for one that is out of view.
        """
        radius = np.reshape(radius, (-1, 1))
        inside = (points - self.origin) @ self.rotation
        near = inside[..., 2] - radius
        far = near + 2 * radius
        behind: NDArray[np.bool_] = np.asarray((far < 0.0).all(axis=1))
        # Part of the hull is beside or behind the camera, so projected corners do not bound its outline.
        around: NDArray[np.bool_] = np.asarray((near < 0.02).any(axis=1))
        near, far = np.where(around[:, None], 1.0, near), np.where(around[:, None], 1.0, far)
        seen = ~behind
        bounds = []
        for axis, size in ((1, self.height), (0, self.width)):
            below, above = inside[..., axis] - radius, inside[..., axis] + radius
            low, high = np.minimum(below / near, below / far), np.maximum(above / near, above / far)
            middle = 0.5 * (size - 1)
            first = np.maximum(np.floor(self.focal * low.min(axis=1) + middle), 0)
            last = np.minimum(np.ceil(self.focal * high.max(axis=1) + middle) + 1, size)
            first, last = np.where(around, 0, first), np.where(around, size, last)
            seen = seen & (first < last)
            bounds.append((first.astype(np.int64).tolist(), last.astype(np.int64).tolist()))
        (top, bottom), (left, right) = bounds
        return [
            (slice(top[k], bottom[k]), slice(left[k], right[k])) if found else None
            for k, found in enumerate(seen.tolist())
        ]


@lru_cache(maxsize=64)
def _camera_rays(height: int, width: int, focal: float) -> FloatImage:
    """Return unit rays in the camera's frame, (3, H * W)."""
    rows, columns = np.mgrid[0:height, 0:width]
    rays = np.stack(
        (columns - 0.5 * (width - 1), rows - 0.5 * (height - 1), np.full(rows.shape, focal)), axis=0
    ).reshape(3, -1)
    return np.asarray(rays / np.linalg.norm(rays, axis=0), dtype=np.float32)


class Room:
    """A hall with its materials, ready for rendering."""

    def __init__(self, hall: Hall, atlas: Atlas) -> None:
        self.hall = hall
        self._atlas = atlas
        boxes = hall.boxes
        self._low = np.array([b.low for b in boxes])
        self._high = np.array([b.high for b in boxes])
        corners = np.stack((self._low, self._high), axis=1)  # (boxes, 2, 3)
        pick = np.array([[(k >> a) & 1 for a in range(3)] for k in range(8)])
        self._corners = corners[:, pick, np.arange(3)]  # (boxes, 8, 3)
        # Box b has the surfaces 3 * b + axis; the shell's surfaces come last.
        materials = [MATERIALS.index(b.material) for b in boxes for _ in range(3)]
        tints = [b.tint for b in boxes for _ in range(3)]
        wall, floor, ceiling = (MATERIALS.index(m) for m in ("wall", "floor", "ceiling"))
        self._shell = len(materials)
        materials += [wall, wall, floor, ceiling]
        tints += [(1.0, 0.97, 0.92), (0.95, 0.97, 1.0), (1.0, 1.0, 1.0), (1.0, 1.0, 1.0)]
        for k, box in enumerate(boxes):
            if box.material == "floor":  # the gallery's sides are walls
                materials[3 * k : 3 * k + 2] = [wall, wall]
        self._material = np.array(materials, dtype=np.int32)
        light = np.concatenate((np.tile(FACE_LIGHT, len(boxes)), FACE_LIGHT, np.array([0.95], dtype=np.float32)))
        self._tint = np.array(tints, dtype=np.float32) * light[:, None]

    def render(self, view: View) -> tuple[FloatImage, FloatImage, FloatImage]:
        """Render the view.

        Returns:
            Colours (H, W, 3) 0..1, distances (H, W) metres along each ray, and the rays (3, H, W).
        """
        rays = view.rays()
        origin = view.origin.astype(np.float32)
        inverse = np.where(np.abs(rays) < 1e-7, np.float32(1e-7), rays)
        np.reciprocal(inverse, out=inverse)
        distance, surface = self._cast_shell(origin, rays, inverse)
        for k, window in enumerate(view.windows(self._corners)):
            if window is not None:
                self._cast_box(k, origin, inverse, distance, surface, window)
        return self._shade(view, origin, rays, distance, surface), distance, rays

    def _cast_shell(
        self, origin: FloatImage, rays: FloatImage, inverse: FloatImage
    ) -> tuple[FloatImage, NDArray[np.int32]]:
        """Intersect the hall's inner sides: take the nearest of the three planes ahead of each ray."""
        planes = []
        for axis in range(3):
            ahead = np.where(inverse[axis] > 0, SHELL_HIGH[axis], SHELL_LOW[axis]).astype(np.float32)
            planes.append((ahead - origin[axis]) * inverse[axis])
        distance = np.minimum(np.minimum(planes[0], planes[1]), planes[2])
        surface = np.where(planes[0] == distance, 0, np.where(planes[1] == distance, 1, 2))
        surface += (surface == 2) & (rays[2] > 0)
        return distance, (surface + self._shell).astype(np.int32)

    def _cast_box(
        self,
        k: int,
        origin: FloatImage,
        inverse: FloatImage,
        distance: FloatImage,
        surface: NDArray[np.int32],
        window: tuple[slice, slice],
    ) -> None:
        """Intersect a box by the slab test (Kay and Kajiya 1986), inside ``window``."""
        low = (self._low[k] - origin).astype(np.float32)
        high = (self._high[k] - origin).astype(np.float32)
        enter, leave = [], None
        for axis in range(3):
            part = inverse[axis][window]
            one, two = low[axis] * part, high[axis] * part
            enter.append(np.minimum(one, two))
            far = np.maximum(one, two)
            leave = far if leave is None else np.minimum(leave, far)
        nearest = np.maximum(np.maximum(enter[0], enter[1]), enter[2])
        known = distance[window]
        hit = (nearest < leave) & (nearest > 0) & (nearest < known)
        if hit.any():
            axis_hit = np.where(enter[0] == nearest, 0, np.where(enter[1] == nearest, 1, 2))
            np.copyto(known, nearest, where=hit)
            np.copyto(surface[window], (3 * k + axis_hit).astype(np.int32), where=hit)

    def _shade(
        self,
        view: View,
        origin: FloatImage,
        rays: FloatImage,
        distance: FloatImage,
        surface: NDArray[np.int32],
    ) -> FloatImage:
        """Look up textures at the hit points; distant points use coarser levels."""
        atlas = self._atlas
        axis = np.where(surface < self._shell, surface % 3, np.minimum(surface - self._shell, 2))
        point = [origin[a] + distance * rays[a] for a in range(3)]
        material = self._material[surface]
        density = atlas.density[material]
        u = np.where(axis == 0, point[1], point[0]) * density
        v = np.where(axis == 2, point[1], -point[2]) * density
        # Texels per pixel; the pixel of a grazing ray covers more texels.
        slant = np.take_along_axis(np.abs(rays), axis[None], axis=0)[0]
        spread = distance * density / (np.float32(view.focal) * np.sqrt(np.maximum(slant, 0.02)))
        level = np.clip(np.log2(np.maximum(spread, 1.0)) + 0.3, 0, LEVELS - 1).astype(np.int32)
        size = SIZE >> level
        column = np.floor(u).astype(np.int32) >> level
        row = np.floor(v).astype(np.int32) >> level
        index = material * atlas.stride + atlas.level_start[level]
        index += (row & (size - 1)) * size + (column & (size - 1))
        colour: FloatImage = atlas.texels.take(index, axis=0)
        colour *= self._tint.take(surface, axis=0)
        colour *= (1.05 / (1.0 + 0.035 * distance))[..., None]
        return colour


@lru_cache(maxsize=16)
def make_room(seed: int, style: int) -> Room:
    """Make the room of this style."""
    return Room(make_hall(seed, style), make_atlas(seed, style))
