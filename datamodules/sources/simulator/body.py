"""An articulated body of 17 segments and its forward kinematics.

A pose is a vector of ``CHANNEL_NAMES``: position and orientation of the pelvis, the joint angles of trunk, head and
arms, and the positions of the balls of the feet. The legs follow from pelvis and feet in closed form (two links and a
knee that points forward), so that a planted foot stays in place. Every segment's frame is a smooth function of the
channels, so the sensors' accelerations are physical.

Segment frames: origin at the proximal joint; for a person who stands facing along x, all axes are parallel
to the world's (x forward, y left, z up). Arms and legs extend along -z, trunk and head along +z.

Shape legend: N samples, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datamodules.recording import FloatArray
from datamodules.sources.simulator.rotations import rot_x, rot_y, rot_z, rotate

SIDES = ("left", "right")

SEGMENTS = (
    "pelvis",
    "abdomen",
    "thorax",
    "neck",
    "head",
    *(f"{side}_{part}" for side in SIDES for part in ("upper_arm", "forearm", "hand", "thigh", "shank", "foot")),
)

CHANNEL_NAMES = (
    *(f"pelvis_{c}" for c in ("x", "y", "z", "yaw", "pitch", "roll", "twist")),
    *(f"trunk_{c}" for c in ("flexion", "lateral", "rotation")),
    *(f"head_{c}" for c in ("pitch", "roll", "yaw")),
    *(
        f"{side}_{c}"
        for side in SIDES
        for c in (
            "shoulder_flexion",
            "shoulder_abduction",
            "shoulder_rotation",
            "elbow",
            "pronation",
            "wrist",
        )
    ),
    *(f"{side}_foot_{c}" for side in SIDES for c in ("x", "y", "z", "yaw", "pitch")),
)
"""Metres and radians. ``twist`` turns the pelvis about its own long axis after yaw, pitch and roll; a foot's
x, y, z is the sole under its ball, and its pitch is positive with the heel up."""

CHANNEL = {name: index for index, name in enumerate(CHANNEL_NAMES)}

REACH = 0.992  # longest reach as a share of a leg's length: full extension has no smooth inverse
REACH_SOFTNESS = 0.012  # metres over which the limit sets in


@dataclass(frozen=True)
class BodyDimensions:
    """Lengths in metres. ``from_height`` gives Drillis and Contini's proportions (Winter 2009, fig. 4.1)."""

    height: float
    thigh: float
    shank: float
    ankle_height: float
    ankle_to_ball: float
    heel_to_ball: float
    hip_half_width: float
    pelvis: float
    abdomen: float
    thorax: float
    neck: float
    head: float
    shoulder_half_width: float
    upper_arm: float
    forearm: float
    hand: float
    girth: float = 1.0

    @classmethod
    def from_height(cls, height: float, legs: float = 1.0, arms: float = 1.0, girth: float = 1.0) -> BodyDimensions:
        """Return the proportions of an adult of ``height`` metres; the other arguments scale average proportions."""
        hip = 0.53 * height * legs
        trunk = 0.818 * height - hip  # longer legs make a shorter trunk, at the same height
        ankle = 0.039 * height
        return cls(
            height=height,
            thigh=0.499 * (hip - ankle),
            shank=0.501 * (hip - ankle),
            ankle_height=ankle,
            ankle_to_ball=0.075 * height,
            heel_to_ball=0.110 * height,
            hip_half_width=0.052 * height,
            pelvis=0.22 * trunk,
            abdomen=0.32 * trunk,
            thorax=0.46 * trunk,
            neck=0.055 * height,
            head=0.125 * height,
            shoulder_half_width=0.115 * height,
            upper_arm=0.186 * height * arms,
            forearm=0.146 * height * arms,
            hand=0.100 * height * arms,
            girth=girth,
        )

    @property
    def leg(self) -> float:
        """Length from hip to ankle, metres."""
        return self.thigh + self.shank

    @property
    def standing_hip_height(self) -> float:
        """Height of the hips above the floor in quiet standing, knees not locked."""
        return 0.985 * self.leg + self.ankle_height


@dataclass(frozen=True)
class Pose:
    """World positions (N, 3) of the segments' origins and body-to-world rotations (N, 3, 3), by segment."""

    origins: dict[str, FloatArray]
    rotations: dict[str, FloatArray]

    def point(self, segment: str, offset: FloatArray) -> FloatArray:
        """Return the world positions (N, 3) of a point fixed to ``segment`` at ``offset`` (3,) metres in its frame."""
        return self.origins[segment] + rotate(self.rotations[segment], offset)


_PARENTS = {
    "abdomen": ("pelvis",),
    "thorax": ("abdomen",),
    "neck": ("thorax",),
    "head": ("neck",),
    **{f"{side}_upper_arm": ("thorax",) for side in SIDES},
    **{f"{side}_forearm": (f"{side}_upper_arm",) for side in SIDES},
    **{f"{side}_hand": (f"{side}_forearm",) for side in SIDES},
    **{f"{side}_{part}": ("pelvis",) for side in SIDES for part in ("thigh", "shank", "foot")},
}


def solve(dimensions: BodyDimensions, channels: FloatArray, segments: tuple[str, ...] = SEGMENTS) -> Pose:
    """Compute forward kinematics.

    Args:
        dimensions: dimensions of the person.
        channels: (C, N) in the order of ``CHANNEL_NAMES``.
        segments: the needed segments; the chain that leads to each is added.

    Returns:
        The frames of these segments and of their chains.
    """
    if channels.ndim != 2 or len(channels) != len(CHANNEL_NAMES):
        raise ValueError(f"channels has shape {channels.shape}; expected ({len(CHANNEL_NAMES)}, N)")
    wanted = set(segments)
    if unknown := wanted - set(SEGMENTS):
        raise ValueError(f"no segment {sorted(unknown)}; the body has: {', '.join(SEGMENTS)}")
    for segment in reversed(SEGMENTS):
        if segment in wanted:
            wanted.update(_ancestors(segment))
    q = dict(zip(CHANNEL_NAMES, channels, strict=True))
    pose = Pose({}, {})
    _trunk(dimensions, q, wanted, pose)
    for side in SIDES:
        _arm(dimensions, q, wanted, pose, side)
        if wanted & {f"{side}_{part}" for part in ("thigh", "shank", "foot")}:
            _leg(dimensions, q, pose, side)
    return pose


def _ancestors(segment: str) -> set[str]:
    found: set[str] = set()
    for parent in _PARENTS.get(segment, ()):
        found |= {parent} | _ancestors(parent)
    return found


def _trunk(d: BodyDimensions, q: dict[str, FloatArray], wanted: set[str], pose: Pose) -> None:
    rotation = rot_z(q["pelvis_yaw"]) @ rot_y(q["pelvis_pitch"]) @ rot_x(q["pelvis_roll"]) @ rot_z(q["pelvis_twist"])
    pose.rotations["pelvis"] = rotation
    pose.origins["pelvis"] = np.stack((q["pelvis_x"], q["pelvis_y"], q["pelvis_z"]), axis=-1)
    # Half of the trunk's bend is at each of two joints, half of the head's at each end of the neck.
    half = {c: 0.5 * q[f"trunk_{c}"] for c in ("flexion", "lateral", "rotation")}
    head = {c: 0.5 * q[f"head_{c}"] for c in ("pitch", "roll", "yaw")}
    bend = rot_z(half["rotation"]) @ rot_y(half["flexion"]) @ rot_x(half["lateral"])
    nod = rot_z(head["yaw"]) @ rot_y(head["pitch"]) @ rot_x(head["roll"])
    chain = (
        ("pelvis", "abdomen", d.pelvis, bend),
        ("abdomen", "thorax", d.abdomen, bend),
        ("thorax", "neck", d.thorax, nod),
        ("neck", "head", d.neck, nod),
    )
    for parent, child, length, turn in chain:
        if child not in wanted:
            continue
        pose.origins[child] = pose.origins[parent] + length * pose.rotations[parent][..., 2]
        pose.rotations[child] = pose.rotations[parent] @ turn


def _arm(d: BodyDimensions, q: dict[str, FloatArray], wanted: set[str], pose: Pose, side: str) -> None:
    if f"{side}_upper_arm" not in wanted:
        return
    sign = 1.0 if side == "left" else -1.0
    upper, fore, hand = (f"{side}_{part}" for part in ("upper_arm", "forearm", "hand"))
    shoulder = np.array([0.0, sign * d.shoulder_half_width, 0.93 * d.thorax])
    pose.origins[upper] = pose.point("thorax", shoulder)
    pose.rotations[upper] = (
        pose.rotations["thorax"]
        @ rot_y(-q[f"{side}_shoulder_flexion"])
        @ rot_x(sign * q[f"{side}_shoulder_abduction"])
        @ rot_z(sign * q[f"{side}_shoulder_rotation"])
    )
    if fore in wanted:
        pose.origins[fore] = pose.origins[upper] - d.upper_arm * pose.rotations[upper][..., 2]
        pose.rotations[fore] = pose.rotations[upper] @ rot_y(-q[f"{side}_elbow"]) @ rot_z(sign * q[f"{side}_pronation"])
    if hand in wanted:
        pose.origins[hand] = pose.origins[fore] - d.forearm * pose.rotations[fore][..., 2]
        pose.rotations[hand] = pose.rotations[fore] @ rot_y(-q[f"{side}_wrist"])


def _leg(d: BodyDimensions, q: dict[str, FloatArray], pose: Pose, side: str) -> None:
    sign = 1.0 if side == "left" else -1.0
    pelvis = pose.rotations["pelvis"]
    hip = pose.point("pelvis", np.array([0.0, sign * d.hip_half_width, 0.0]))
    foot = rot_z(q[f"{side}_foot_yaw"]) @ rot_y(q[f"{side}_foot_pitch"])
    ball = np.stack([q[f"{side}_foot_{c}"] for c in ("x", "y", "z")], axis=-1)
    to_ankle = ball + rotate(foot, np.array([-d.ankle_to_ball, 0.0, d.ankle_height])) - hip
    distance = np.linalg.norm(to_ankle, axis=-1, keepdims=True)
    down = to_ankle / distance
    limit = REACH * d.leg
    distance = limit - REACH_SOFTNESS * np.logaddexp(0.0, (limit - distance) / REACH_SOFTNESS)
    # The knee points where pelvis and toes point, and up when the leg itself points forward (sitting).
    pole = pelvis[..., 0] + 0.4 * pelvis[..., 2] + 0.5 * foot[..., 0]
    forward = pole - np.sum(pole * down, axis=-1, keepdims=True) * down
    forward /= np.linalg.norm(forward, axis=-1, keepdims=True)
    along = (d.thigh**2 + distance**2 - d.shank**2) / (2.0 * distance)
    across = np.sqrt(np.maximum(d.thigh**2 - along**2, 1e-12))
    knee = hip + along * down + across * forward
    ankle = hip + distance * down
    left = np.cross(forward, down)
    for segment, top, bottom in ((f"{side}_thigh", hip, knee), (f"{side}_shank", knee, ankle)):
        up = top - bottom
        up /= np.linalg.norm(up, axis=-1, keepdims=True)
        pose.origins[segment] = top
        pose.rotations[segment] = np.stack((np.cross(left, up), left, up), axis=-1)
    pose.origins[f"{side}_foot"] = ankle
    pose.rotations[f"{side}_foot"] = foot
