"""Camera fixed rigidly to the head, so that its optical flow shows the head's motion."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from datamodules.recording import FloatArray
from datamodules.sources.simulator.body import solve
from datamodules.sources.simulator.camera import SimulatedCamera
from datamodules.sources.simulator.figure import draw_figure, figure_parts
from datamodules.sources.simulator.room import FloatImage, Room, View
from datamodules.sources.simulator.rotations import rot_y
from datamodules.sources.simulator.session import Session

FIELD_OF_VIEW = math.radians(95.0)  # across the width
TILT = math.radians(12.0)  # downwards
CLEARANCE_M = 0.05  # least height of the camera above the lower floor
# Columns are the camera's axes (right, down, forward) in the head's frame (forward, left, up).
AXES = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


def focal_length(width: int) -> float:
    """Return the focal length in pixels for an image ``width`` pixels wide."""
    return 0.5 * width / math.tan(0.5 * FIELD_OF_VIEW)


class HeadCamera(SimulatedCamera):
    """A camera that shows the hall, and the wearer's own arms, legs and lap."""

    name = "head"

    def __init__(
        self, session: Session, room: Room, frame_rate_hz: float, phase_s: float, exposure: float, origin: str
    ) -> None:
        super().__init__(session.duration_s, room, frame_rate_hz, phase_s, exposure, origin)
        self._session = session

    def views(self, times: FloatArray, height: int, width: int) -> list[View]:
        """Return position and orientation of the camera at these times."""
        body = self._session.person.body
        pose = solve(body, self._session.at(times), ("head",))
        position = pose.point("head", np.array([0.115, 0.0, 0.6 * body.head]))
        position[:, 2] = np.maximum(position[:, 2], CLEARANCE_M)  # after a fall the face is on the floor
        rotation = pose.rotations["head"] @ rot_y(np.array([TILT]))[0] @ AXES
        focal = focal_length(width)
        return [View(p, r, height, width, focal) for p, r in zip(position, rotation, strict=True)]

    def render(self, times: FloatArray, height: int, width: int) -> Iterator[FloatImage]:
        """Yield the images at these times."""
        parts = figure_parts(self._session.person, from_head=True)
        pose = solve(self._session.person.body, self._session.at(times))
        for moment, view in enumerate(self.views(times, height, width)):
            image, distance, rays = self._room.render(view)
            draw_figure(parts, pose, moment, view, image, distance, rays)
            yield image
