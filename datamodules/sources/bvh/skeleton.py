"""A captured skeleton: forward kinematics of all joints, and smooth curves through them.

Shape legend: N frames, M moments.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation, RotationSpline

from datamodules.formats.bvh import BvhFile, Joint
from datamodules.recording import FloatArray, RecordingError
from datamodules.sources.simulator.body import Pose
from datamodules.sources.simulator.rotations import rot_x, rot_y, rot_z, rotate

FEWEST_FRAMES = 4  # a cubic curve needs four points
UP_AXES = {"x": (1, 2, 0), "y": (2, 0, 1), "z": (0, 1, 2)}  # the file's axes that become x, y and z, z up
_TURNS = {"Xrotation": rot_x, "Yrotation": rot_y, "Zrotation": rot_z}


class Skeleton:
    """The joints of a file over time, in metres, z up.

    A joint's position channels stand in for its offset, at any joint. Its rotation channels are applied in the file's
    order, the first outermost.

    Args:
        file: the file.
        metres_per_unit: length of the file's unit.
        up: the file's axis that points up, of ``UP_AXES``.

    Raises:
        RecordingError: the file has too few frames.
    """

    def __init__(self, file: BvhFile, metres_per_unit: float, up: str) -> None:
        if len(file.values) < FEWEST_FRAMES:
            raise RecordingError(f"{file.path}: {len(file.values)} frames; expected at least {FEWEST_FRAMES}")
        self.file = file
        self.joints = {joint.name: joint for joint in file.joints}
        self.times = np.arange(len(file.values)) * file.frame_time
        self._unit = metres_per_unit
        self._axes = np.eye(3)[list(UP_AXES[up])]
        self._curves: dict[str, tuple[CubicSpline, RotationSpline]] = {}

    @property
    def duration_s(self) -> float:
        """Time from the first frame to the last, seconds."""
        return float(self.times[-1])

    @cached_property
    def frames(self) -> Pose:
        """World positions (N, 3) and rotations (N, 3, 3) of all joints in the file's frames."""
        pose, first = Pose({}, {}), 0
        for joint in self.file.joints:
            columns = self.file.values[:, first : first + len(joint.channels)]
            first += len(joint.channels)
            place, turn = self._local(joint, columns)
            if joint.parent < 0:
                pose.origins[joint.name] = place @ self._axes.T
                pose.rotations[joint.name] = self._axes @ turn
                continue
            parent = self.file.joints[joint.parent].name
            pose.origins[joint.name] = pose.origins[parent] + rotate(pose.rotations[parent], place)
            pose.rotations[joint.name] = pose.rotations[parent] @ turn
        return pose

    def _local(self, joint: Joint, columns: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Place (N, 3), metres, and rotation (N, 3, 3) of a joint in its parent's frame."""
        place = np.tile(joint.offset, (len(columns), 1))
        turn = np.tile(np.eye(3), (len(columns), 1, 1))
        for channel, values in zip(joint.channels, columns.T, strict=True):
            if channel in _TURNS:
                turn = turn @ _TURNS[channel](np.radians(values))
            else:
                place[:, "XYZ".index(channel[0])] = values
        return place * self._unit, turn

    def at(self, times: FloatArray, joints: list[str]) -> Pose:
        """Interpolate joints at moments (M,) from the first frame to the last, seconds.

        Positions follow cubic splines, rotations a spline with continuous angular acceleration.
        """
        pose = Pose({}, {})
        for joint in joints:
            if joint not in self._curves:
                turns = Rotation.from_matrix(self.frames.rotations[joint])
                places = CubicSpline(self.times, self.frames.origins[joint])
                self._curves[joint] = places, RotationSpline(self.times, turns)
            places, rotations = self._curves[joint]
            pose.origins[joint] = np.asarray(places(times))
            pose.rotations[joint] = np.asarray(rotations(times).as_matrix())
        return pose

    def chain(self, joint: str) -> list[str]:
        """Names from a joint up to the root, both included."""
        names = [joint]
        while (parent := self.joints[names[-1]].parent) >= 0:
            names.append(self.file.joints[parent].name)
        return names

    def children(self, joint: str) -> list[str]:
        """Names of a joint's children."""
        return [other.name for other in self.file.joints if other.parent >= 0 and self.chain(other.name)[1] == joint]

    def end_sites(self, joint: str) -> list[FloatArray]:
        """World positions (N, 3) of a joint's end sites in the file's frames."""
        origin, turn = self.frames.origins[joint], self.frames.rotations[joint]
        return [origin + turn @ (end * self._unit) for end in self.joints[joint].ends]
