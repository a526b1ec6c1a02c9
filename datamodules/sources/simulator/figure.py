"""Drawing of a body into a rendered room, with capsules and ellipsoids as segments.

Shape legend: H height, W width of the image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datamodules.recording import FloatArray
from datamodules.sources.simulator.body import SIDES, BodyDimensions, Pose
from datamodules.sources.simulator.people import Person
from datamodules.sources.simulator.room import FloatImage, View

LIGHT = np.array([0.35, 0.25, 0.90], dtype=np.float32)  # direction towards the lamp
LIGHT /= np.linalg.norm(LIGHT)
STRIPE_M = 0.09  # striped clothes make their motion visible


@dataclass(frozen=True)
class Part:
    """One shape: a capsule from ``start`` to ``end``, or an ellipsoid with ``axes`` about ``start``."""

    segment: str
    start: FloatArray
    end: FloatArray | None
    radius: float
    axes: FloatArray | None
    colour: tuple[float, float, float]
    striped: bool = False


def figure_parts(person: Person, from_head: bool = False) -> tuple[Part, ...]:
    """Return the shapes of a person; ``from_head`` leaves out those invisible to the person's own eyes."""
    d, c, g = person.body, person.colours, person.body.girth
    parts: list[Part] = []

    def capsule(
        segment: str, length: float, radius: float, colour: str, ahead: float = 0.0, striped: bool = False
    ) -> None:
        end = np.array([ahead, 0.0, -length])
        parts.append(Part(segment, np.zeros(3), end, radius, None, c[colour], striped))

    def ellipsoid(
        segment: str,
        centre: tuple[float, float, float],
        axes: tuple[float, float, float],
        colour: str,
        striped: bool,
    ) -> None:
        parts.append(Part(segment, np.array(centre), None, max(axes), np.array(axes), c[colour], striped))

    ellipsoid("pelvis", (0.0, 0.0, 0.4 * d.pelvis), (0.115 * g, 0.175 * g, 0.13), "trousers", False)
    ellipsoid("abdomen", (0.0, 0.0, 0.45 * d.abdomen), (0.105 * g, 0.15 * g, 0.75 * d.abdomen), "shirt", True)
    if not from_head:
        width = d.shoulder_half_width * 0.98
        ellipsoid("thorax", (0.0, 0.0, 0.5 * d.thorax), (0.12 * g, width, 0.66 * d.thorax), "shirt", True)
        capsule("neck", -d.neck, 0.055, "skin")
        ellipsoid("head", (0.015, 0.0, 0.5 * d.head), (0.1, 0.08, 0.58 * d.head), "skin", False)
        ellipsoid("head", (-0.015, 0.0, 0.62 * d.head), (0.1, 0.088, 0.52 * d.head), "hair", False)
    for side in SIDES:
        capsule(f"{side}_upper_arm", d.upper_arm, 0.047 * g, "shirt", striped=True)
        capsule(f"{side}_forearm", d.forearm, 0.037 * g, "skin")
        capsule(f"{side}_hand", 0.6 * d.hand, 0.038, "skin")
        capsule(f"{side}_thigh", d.thigh, 0.077 * g, "trousers", striped=True)
        capsule(f"{side}_shank", d.shank, 0.053 * g, "trousers", striped=True)
        parts.append(_foot(d, side, c["shoes"]))
    return tuple(parts)


def _foot(d: BodyDimensions, side: str, colour: tuple[float, float, float]) -> Part:
    sole = -d.ankle_height + 0.036
    start = np.array([d.ankle_to_ball - d.heel_to_ball + 0.02, 0.0, sole])
    return Part(f"{side}_foot", start, np.array([d.ankle_to_ball + 0.04, 0.0, sole]), 0.036, None, colour)


def draw_figure(
    parts: tuple[Part, ...],
    pose: Pose,
    moment: int,
    view: View,
    image: FloatImage,
    distance: FloatImage,
    rays: FloatImage,
) -> NDArray[np.bool_]:
    """Draw into ``image`` and ``distance`` in place.

    Args:
        parts: shapes of the figure.
        pose: frames of the segments.
        moment: index of one of the pose's N samples.
        view: view of the camera that made ``image``.
        image: (H, W, 3) colours.
        distance: (H, W) metres along each ray.
        rays: (3, H, W) world directions.

    Returns:
        (H, W) bool, True for pixels that show the figure.
    """
    shown = np.zeros(distance.shape, dtype=bool)
    turns = [pose.rotations[part.segment][moment] for part in parts]
    bases = [pose.origins[part.segment][moment] for part in parts]
    starts = [base + turn @ part.start for part, turn, base in zip(parts, turns, bases, strict=True)]
    ends = [
        start if part.end is None else base + turn @ part.end
        for part, turn, base, start in zip(parts, turns, bases, starts, strict=True)
    ]
    radii = np.array([part.radius for part in parts])
    windows = view.windows(np.stack((starts, ends), axis=1), radii)
    for part, turn, start, end, window in zip(parts, turns, starts, ends, windows, strict=True):
        if window is None:
            continue
        ray = rays[(slice(None), *window)].reshape(3, -1)
        if part.axes is None:
            found, normal, along = _capsule(ray, start - view.origin, end - view.origin, part.radius)
        else:
            found, normal, along = _ellipsoid(ray, start - view.origin, turn, part.axes)
        found = found.reshape(distance[window].shape)
        hit = found < distance[window]
        if not hit.any():
            continue
        lit = 0.42 + 0.58 * np.maximum(LIGHT @ normal, 0.0)
        if part.striped:
            lit = lit * np.where(np.mod(along, STRIPE_M) < 0.5 * STRIPE_M, np.float32(1.0), np.float32(0.72))
        colour = lit.reshape(hit.shape)[..., None] * np.array(part.colour, dtype=np.float32)
        np.copyto(image[window], colour.astype(np.float32), where=hit[..., None])
        np.copyto(distance[window], found, where=hit)
        shown[window] |= hit
    return shown


def _capsule(
    ray: FloatImage, start: FloatArray, end: FloatArray, radius: float
) -> tuple[FloatImage, FloatImage, FloatImage]:
    """Intersect rays (3, n) from the origin with a capsule.

    Returns:
        Distances (n,), inf for misses; normals (3, n); metres along the axis (n,).
    """
    a: FloatImage = start.astype(np.float32)
    b: FloatImage = end.astype(np.float32)
    length = float(np.linalg.norm(b - a))
    axis: FloatImage = (b - a) / np.float32(length)
    across = ray - np.outer(axis, axis @ ray)
    beside = a - axis * (axis @ a)
    # |across t - beside|^2 = radius^2: the infinite cylinder.
    square = np.einsum("cn,cn->n", across, across)
    half = beside @ across
    root = half * half - square * np.float32(beside @ beside - radius * radius)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (half - np.sqrt(root)) / square
    along = found * (axis @ ray) - np.float32(axis @ a)
    inside = (along >= 0.0) & (along <= length) & (found > 0.0)
    found = np.where(inside, found, np.float32(np.inf))
    for centre in (a, b):
        half = centre @ ray
        root = half * half - np.float32(centre @ centre - radius * radius)
        with np.errstate(invalid="ignore"):
            ball = half - np.sqrt(root)
        found = np.fmin(found, np.where(ball > 0.0, ball, np.float32(np.inf)))
    reach = np.where(np.isfinite(found), found, np.float32(0.0))
    point = reach * ray - a[:, None]
    along = np.clip(axis @ point, 0.0, length)
    normal = (point - np.outer(axis, along)) / np.float32(radius)
    return found, normal, along


def _ellipsoid(
    ray: FloatImage, centre: FloatArray, turn: FloatArray, axes: FloatArray
) -> tuple[FloatImage, FloatImage, FloatImage]:
    """Intersect rays with an ellipsoid, in the frame where it is the unit sphere; returns as ``_capsule``."""
    shrink = (turn / axes).T.astype(np.float32)
    direction, middle = shrink @ ray, (shrink @ centre.astype(np.float32))
    square = np.einsum("cn,cn->n", direction, direction)
    half = middle @ direction
    root = half * half - square * np.float32(middle @ middle - 1.0)
    with np.errstate(invalid="ignore"):
        found = (half - np.sqrt(root)) / square
    found = np.where(found > 0.0, found, np.float32(np.inf))
    reach = np.where(np.isfinite(found), found, np.float32(0.0))
    local = reach * direction - middle[:, None]
    normal = shrink.T @ local
    normal /= np.maximum(np.linalg.norm(normal, axis=0), np.float32(1e-6))
    return found, normal.astype(np.float32), local[2] * np.float32(axes[2]) + np.float32(axes[2])


def cast_shadow(
    image: FloatImage, distance: FloatImage, rays: FloatImage, origin: FloatArray, hips: FloatArray
) -> None:
    """Darken the floor under the body, in place; call before the figure is drawn."""
    x = origin[0] + distance * rays[0] - hips[0]
    y = origin[1] + distance * rays[1] - hips[1]
    below = hips[2] - (origin[2] + distance * rays[2])
    near = np.exp(-(x * x + y * y) / np.float32(2 * 0.28**2)) * ((below > -0.1) & (below < 1.3))
    image *= (1.0 - 0.45 * near * math.exp(-0.3))[..., None].astype(np.float32)
