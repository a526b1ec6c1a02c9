"""A simulated camera that shows a captured body in an empty hall.

Shape legend: H height, W width of the image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

import numpy as np

from datamodules.recording import FloatArray, RecordingError
from datamodules.sources.bvh.anatomy import Anatomy
from datamodules.sources.bvh.skeleton import Skeleton
from datamodules.sources.simulator.body import Pose
from datamodules.sources.simulator.camera import SimulatedCamera
from datamodules.sources.simulator.figure import cast_shadow, draw_figure, figure_parts
from datamodules.sources.simulator.hall import HALF_WIDTH, LENGTH_DOWN, LENGTH_UP, make_hall
from datamodules.sources.simulator.people import Person
from datamodules.sources.simulator.room import FloatImage, Room
from datamodules.sources.simulator.rotations import rot_z, rotate
from datamodules.sources.simulator.textures import make_atlas
from datamodules.sources.simulator.third_person_camera import following_views, steadied, wall_place
from datamodules.sources.simulator.timeline import RATE_HZ, interpolate

MARGIN_M = 0.3  # between a path and the walls


class CaptureCamera(SimulatedCamera):
    """A camera on the wall that follows the body.

    The clip is turned so that its path runs along the hall, and set down with its lowest foot on the floor.

    Args:
        skeleton: the clip.
        anatomy: the segments of the skeleton.
        person: gives the shapes and colours of the body.
        seed: seed of the room's materials.
        style: number of the room's materials.
        mount: number of the camera's place.
        exposure: factor on all colours.

    Raises:
        RecordingError: the path is longer or wider than the hall.
    """

    name = "third_person"

    def __init__(
        self,
        skeleton: Skeleton,
        anatomy: Anatomy,
        person: Person,
        seed: int,
        style: int,
        mount: int,
        frame_rate_hz: float,
        exposure: float,
    ) -> None:
        origin = f"{skeleton.file.path}:third_person"
        super().__init__(skeleton.duration_s, empty_room(seed, style), frame_rate_hz, 0.0, exposure, origin)
        self._skeleton, self._anatomy = skeleton, anatomy
        self._parts = tuple(part for part in figure_parts(person) if part.segment in anatomy.joints)
        self._place = wall_place(mount)
        self._turn, self._shift = np.eye(3), np.zeros(3)
        grid = np.arange(0.0, skeleton.duration_s, 1.0 / RATE_HZ)
        feet = tuple(segment for segment in anatomy.joints if segment.endswith(("foot", "shank")))
        path = anatomy.pose(skeleton, grid, ("pelvis", *feet))
        self._turn, self._shift = self._placing(path, anatomy.body.ankle_height)
        hips = rotate(self._turn, path.origins["pelvis"]) + self._shift
        self._target = steadied(hips.T)

    def _placing(self, path: Pose, ankle_height: float) -> tuple[FloatArray, FloatArray]:
        """Rotation (3, 3) and shift (3,) of the clip into the hall."""
        hips = path.origins["pelvis"]
        level = hips[:, :2] - hips[:, :2].mean(axis=0)
        direction = np.linalg.svd(level, full_matrices=False)[2][0]
        turn = rot_z(-np.arctan2(direction[1:], direction[:1]))[0]
        turned = rotate(turn, hips)
        low, high = turned.min(axis=0), turned.max(axis=0)
        middle = np.array([0.5 * (LENGTH_DOWN - LENGTH_UP), 0.0])
        space = np.array([LENGTH_DOWN + LENGTH_UP, 2.0 * HALF_WIDTH]) - 2.0 * MARGIN_M
        if (high - low)[0] > space[0] or (high - low)[1] > space[1]:
            raise RecordingError(
                f"{self._skeleton.file.path}: the path covers {high[0] - low[0]:.1f} x {high[1] - low[1]:.1f} m; the "
                f"rendered hall has {space[0]:.1f} x {space[1]:.1f} m: check metres_per_unit, or set cameras: []"
            )
        floor = min(float(places[:, 2].min()) for name, places in path.origins.items() if name != "pelvis")
        return turn, np.array([*(middle - 0.5 * (low + high)[:2]), ankle_height - floor])

    def pose(self, times: FloatArray) -> Pose:
        """Return the body in the hall at these times."""
        found = self._anatomy.pose(self._skeleton, times)
        origins = {name: rotate(self._turn, places) + self._shift for name, places in found.origins.items()}
        return Pose(origins, {name: self._turn @ rotation for name, rotation in found.rotations.items()})

    def render(self, times: FloatArray, height: int, width: int) -> Iterator[FloatImage]:
        """Yield the images at these times."""
        pose = self.pose(times)
        views = following_views(self._place, interpolate(self._target, times, 0.0), height, width)
        for moment, view in enumerate(views):
            image, distance, rays = self._room.render(view)
            cast_shadow(image, distance, rays, view.origin, pose.origins["pelvis"][moment])
            draw_figure(self._parts, pose, moment, view, image, distance, rays)
            yield image


@lru_cache(maxsize=16)
def empty_room(seed: int, style: int) -> Room:
    """Make a hall with pictures on its walls and nothing to walk into."""
    hall = make_hall(seed, style)
    pictures = tuple(box for box in hall.boxes if box.material == "poster")
    return Room(replace(hall, seats=(), boxes=pictures), make_atlas(seed, style))
