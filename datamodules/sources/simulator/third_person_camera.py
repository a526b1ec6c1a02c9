"""Camera high on a wall that follows the person by panning and zooming, like a camera operator."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from datamodules.recording import FloatArray
from datamodules.sources.simulator.body import CHANNEL, solve
from datamodules.sources.simulator.camera import SimulatedCamera
from datamodules.sources.simulator.figure import cast_shadow, draw_figure, figure_parts
from datamodules.sources.simulator.hall import HALF_WIDTH, UPPER
from datamodules.sources.simulator.room import FloatImage, Room, View
from datamodules.sources.simulator.session import Session
from datamodules.sources.simulator.timeline import RATE_HZ, interpolate

FOLLOW_S = 0.8  # standard deviation of the operator's smoothing
FRAMED_M = 2.6  # height of the image at the person's distance, metres
MOUNTS = ((0.4, -1.0), (0.4, 1.0), (4.2, -1.0), (4.2, 1.0))  # x, and sign of the wall's y


class ThirdPersonCamera(SimulatedCamera):
    """A camera that shows the person in the hall; ``mount`` chooses one of four places on the walls."""

    name = "third_person"

    def __init__(
        self,
        session: Session,
        room: Room,
        frame_rate_hz: float,
        phase_s: float,
        exposure: float,
        origin: str,
        mount: int = 0,
    ) -> None:
        super().__init__(session.duration_s, room, frame_rate_hz, phase_s, exposure, origin)
        self._session = session
        self._place = wall_place(mount)
        hips = session.channels[[CHANNEL[f"pelvis_{c}"] for c in "xyz"]]
        self._target = steadied(hips)

    def views(self, times: FloatArray, height: int, width: int) -> list[View]:
        """Return position and orientation of the camera at these times."""
        return following_views(self._place, interpolate(self._target, times), height, width)

    def render(self, times: FloatArray, height: int, width: int) -> Iterator[FloatImage]:
        """Yield the images at these times."""
        return (image for image, _ in self.render_with_mask(times, height, width))

    def render_with_mask(
        self, times: FloatArray, height: int, width: int
    ) -> Iterator[tuple[FloatImage, NDArray[np.bool_]]]:
        """Yield each image with the mask (height, width) of the pixels that show the person."""
        person = self._session.person
        parts = figure_parts(person)
        pose = solve(person.body, self._session.at(times))
        for moment, view in enumerate(self.views(times, height, width)):
            image, distance, rays = self._room.render(view)
            cast_shadow(image, distance, rays, view.origin, pose.origins["pelvis"][moment])
            yield image, draw_figure(parts, pose, moment, view, image, distance, rays)


def wall_place(mount: int) -> FloatArray:
    """Return the world position (3,) of one of the places on the walls."""
    x, wall = MOUNTS[mount % len(MOUNTS)]
    return np.array([x, wall * (HALF_WIDTH - 0.15), UPPER + 2.2])


def steadied(path: FloatArray) -> FloatArray:
    """Smooth a path (3, N) on the internal grid as an operator's hand does who follows it."""
    return np.asarray(gaussian_filter1d(path, FOLLOW_S * RATE_HZ, axis=1, mode="nearest"))


def following_views(place: FloatArray, targets: FloatArray, height: int, width: int) -> list[View]:
    """Return the views from ``place`` (3,) that frame each of the targets (3, M)."""
    views = []
    for target in targets.T:
        forward = target - place
        distance = float(np.linalg.norm(forward))
        forward /= distance
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        rotation = np.stack((right, np.cross(forward, right), forward), axis=1)
        angle = 2.0 * math.atan(0.5 * FRAMED_M / distance)
        focal = 0.5 * min(height, width) / math.tan(0.5 * angle)
        views.append(View(place, rotation, height, width, focal))
    return views
