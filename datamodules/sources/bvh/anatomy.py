"""Parts of the body on a captured skeleton: which joint each part is, and how the joint's axes lie in it.

Joint names differ from program to program, and a joint's axes may point anywhere. The simulator's segments have known
axes: x forward, y left, z up for a person who stands. Joints are found by name and by their place in the tree. Their
axes come from a reference clip: limbs and trunk give z, and the hips' direction, averaged over the clip, gives x.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from core.suggestions import did_you_mean
from datamodules.recording import FloatArray, RecordingError
from datamodules.sources.bvh.skeleton import Skeleton
from datamodules.sources.simulator.body import SEGMENTS, SIDES, BodyDimensions, Pose

# Names without side, signs and case.
_STEMS = {
    "forearm": ("lowerarm", "forearm", "radius", "elbow"),
    "upper_arm": ("upperarm", "uparm", "arm", "humerus", "shoulder"),
    "shank": ("lowerleg", "shin", "calf", "tibia", "knee", "leg"),
    "thigh": ("upperleg", "upleg", "thigh", "femur", "hip"),
}
# A "shoulder" is the upper arm in one program and the collar bone in another; it counts if the forearm hangs from it.
_UNSURE = {"upper_arm": ("shoulder", "forearm"), "thigh": ("hip", "shank")}
_LEG_SHARE = 0.53 - 0.039  # of a person's height: hip to ankle, as ``BodyDimensions.from_height`` has it
_LEAST = 0.2  # sine of the angle between a segment and "forward" below which the latter says nothing


class Anatomy:
    """The simulator's segments on a captured skeleton.

    Args:
        reference: a clip of a person who is mostly upright, of the same skeleton as the clips to come.
        chosen: segment -> joint, for joints whose names are not understood.

    Attributes:
        joints: segment -> joint; segments that the skeleton lacks are left out.
        axes: segment -> (3, 3), the segment's axes in its joint's frame.
        body: lengths of the segments.

    Raises:
        RecordingError: a joint is missing, or the reference does not show where a segment faces.
    """

    def __init__(self, reference: Skeleton, chosen: dict[str, str]) -> None:
        self.reference = reference
        self.joints = _find_joints(reference, chosen)
        frames, joints = reference.frames, self.joints
        left = frames.origins[joints["left_thigh"]] - frames.origins[joints["right_thigh"]]
        forward = np.cross(left, [0.0, 0.0, 1.0])
        forward /= np.maximum(np.linalg.norm(forward, axis=1, keepdims=True), 1e-9)
        self.axes = {segment: self._axes(segment, forward) for segment in joints}
        self.body = self._dimensions()

    def pose(self, skeleton: Skeleton, times: FloatArray, segments: tuple[str, ...] = SEGMENTS) -> Pose:
        """Return the frames of segments, those that the skeleton has, at these moments of a clip.

        Raises:
            RecordingError: the clip's skeleton is another one than the reference's.
        """
        wanted = {segment: self.joints[segment] for segment in segments if segment in self.joints}
        if missing := sorted(set(wanted.values()) - skeleton.joints.keys()):
            raise RecordingError(
                f"{skeleton.file.path}: no joint '{missing[0]}'{did_you_mean(missing[0], skeleton.joints)}; expected "
                f"the skeleton of the reference {self.reference.file.path}"
            )
        found = skeleton.at(times, list(wanted.values()))
        origins = {segment: found.origins[joint] for segment, joint in wanted.items()}
        rotations = {segment: found.rotations[joint] @ self.axes[segment] for segment, joint in wanted.items()}
        return Pose(origins, rotations)

    def _end(self, segment: str) -> FloatArray | None:
        """World positions (N, 3) of a segment's far end; None if the file has none."""
        frames, joint = self.reference.frames, self.joints[segment]
        own = set(self.joints.values())
        children = self.reference.children(joint)
        for child in sorted(children, key=lambda name: name not in own):
            towards_limb = segment not in ("pelvis", "thorax") or child in self.reference.chain(self.joints["head"])
            if towards_limb and np.linalg.norm(frames.origins[child] - frames.origins[joint], axis=1).mean() > 1e-3:
                return frames.origins[child]
        ends = [] if children else self.reference.end_sites(joint)
        return next((end for end in ends if np.linalg.norm(end - frames.origins[joint], axis=1).mean() > 1e-3), None)

    def _axes(self, segment: str, forward: FloatArray) -> FloatArray:
        """Axes (3, 3) of a segment in its joint's frame, in columns."""
        frames, joint = self.reference.frames, self.joints[segment]
        inverse = np.swapaxes(frames.rotations[joint], 1, 2)
        up = np.tile([0.0, 0.0, 1.0], (len(inverse), 1))
        end = self._end(segment)
        along = up if end is None else end - frames.origins[joint]
        if segment.endswith("foot"):
            z, x = up, forward if end is None else along
        else:
            is_limb = segment.endswith(("arm", "hand", "thigh", "shank"))
            z, x = (-along if is_limb and end is not None else along), forward

        def mean(vectors: FloatArray) -> FloatArray:
            inside = (inverse @ vectors[..., None])[..., 0].mean(axis=0)
            return np.asarray(inside / max(float(np.linalg.norm(inside)), 1e-9))

        z_axis, x_axis = mean(z), mean(x)
        x_axis = x_axis - (x_axis @ z_axis) * z_axis
        if (length := float(np.linalg.norm(x_axis))) < _LEAST:
            raise RecordingError(
                f"{self.reference.file.path}: the person does not show where '{segment}' (joint '{joint}') faces; "
                "expected as 'reference' a clip of someone who stands or walks"
            )
        x_axis /= length
        return np.stack((x_axis, np.cross(z_axis, x_axis), z_axis), axis=1)

    def _dimensions(self) -> BodyDimensions:
        def distance(one: str, two: str) -> float:
            a, b = (self.reference.frames.origins[self.joints[name]] for name in (one, two))
            return float(np.linalg.norm(a - b, axis=1).mean())

        def sides(one: str, two: str) -> float:
            return float(np.mean([distance(f"{side}_{one}", f"{side}_{two}") for side in SIDES]))

        def length(segment: str) -> float:
            end, start = self._end(segment), self.reference.frames.origins[self.joints[segment]]
            return 0.0 if end is None else float(np.linalg.norm(end - start, axis=1).mean())

        thigh = sides("thigh", "shank")
        shank = float(np.mean([length(f"{side}_shank") for side in SIDES]))
        body = BodyDimensions.from_height((thigh + shank) / _LEG_SHARE)
        measured: dict[str, float] = {
            "thigh": thigh,
            "shank": shank,
            "upper_arm": sides("upper_arm", "forearm"),
            "forearm": float(np.mean([length(f"{side}_forearm") for side in SIDES])),
            "hip_half_width": 0.5 * distance("left_thigh", "right_thigh"),
            "shoulder_half_width": 0.5 * distance("left_upper_arm", "right_upper_arm"),
        }
        measured |= {name: length(name) for name in ("pelvis", "abdomen", "thorax", "neck") if name in self.joints}
        return replace(body, **{name: value for name, value in measured.items() if value > 1e-3})


def _find_joints(skeleton: Skeleton, chosen: dict[str, str]) -> dict[str, str]:
    """Find segment -> joint."""
    path = skeleton.file.path
    for segment, joint in chosen.items():
        if segment not in SEGMENTS:
            raise RecordingError(f"joints: no segment '{segment}'{did_you_mean(segment, SEGMENTS)}")
        if joint not in skeleton.joints:
            raise RecordingError(f"{path}: no joint '{joint}'{did_you_mean(joint, skeleton.joints)}")
    plain = {re.sub(r"[^a-z0-9]", "", name.split(":")[-1].lower()): name for name in skeleton.joints}
    found: dict[str, str] = {}
    wanted = [(f"{side}_{part}", _names(side, stems)) for side in SIDES for part, stems in _STEMS.items()]
    for segment, names in [("head", ["head"]), *wanted]:
        side, _, part = segment.partition("_")
        stem, below = _UNSURE.get(part, ("", ""))
        unsure = _names(side, (stem,)) if stem else []
        above = skeleton.chain(found[f"{side}_{below}"])[1:2] if below else []
        fitting = (plain[n] for n in names if n in plain and (n not in unsure or [plain[n]] == above))
        joint = chosen.get(segment) or next(fitting, "")
        if not joint:
            raise RecordingError(
                f"{path}: no joint is known as '{segment}'; expected a name such as {', '.join(names[:3])}, or the "
                f"setting joints: {{{segment}: ...}} with one of {', '.join(skeleton.joints)}"
            )
        found[segment] = joint
    for side in SIDES:
        for part, parent in (("hand", "forearm"), ("foot", "shank")):
            if children := skeleton.children(found[f"{side}_{parent}"]):
                found[f"{side}_{part}"] = children[0]
    found["pelvis"] = _shared(skeleton, found["left_thigh"], found["right_thigh"])
    found["thorax"] = _shared(skeleton, found["left_upper_arm"], found["right_upper_arm"])
    for segment, top, bottom in (("abdomen", "thorax", "pelvis"), ("neck", "head", "thorax")):
        chain = skeleton.chain(found[top])
        if found[bottom] in chain and (between := chain[1 : chain.index(found[bottom])]):
            found[segment] = between[-1]
    return found | chosen


def _names(side: str, stems: tuple[str, ...]) -> list[str]:
    return [name for stem in stems for name in (f"{side}{stem}", f"{side[0]}{stem}", f"{stem}{side[0]}", stem + side)]


def _shared(skeleton: Skeleton, one: str, two: str) -> str:
    """Find the lowest joint that both hang from."""
    other = skeleton.chain(two)
    return next(name for name in skeleton.chain(one) if name in other)
