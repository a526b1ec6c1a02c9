"""BVH files of a made person in the structures of four public sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

FPS = 30.0

# Part -> parent and offset in cm, y up, for a person who stands facing along z with hanging arms; x is the left.
PARTS: dict[str, tuple[str, tuple[float, float, float]]] = {
    "pelvis": ("", (0.0, 0.0, 0.0)),
    "abdomen": ("pelvis", (0.0, 14.0, 0.0)),
    "thorax": ("abdomen", (0.0, 16.0, 0.0)),
    "neck": ("thorax", (0.0, 24.0, 0.0)),
    "head": ("neck", (0.0, 9.0, 0.0)),
}
for _side, _sign in (("left", 1.0), ("right", -1.0)):
    PARTS |= {
        f"{_side}_collar": ("thorax", (_sign * 3.0, 20.0, 0.0)),
        f"{_side}_upper_arm": (f"{_side}_collar", (_sign * 15.0, 0.0, 0.0)),
        f"{_side}_forearm": (f"{_side}_upper_arm", (0.0, -30.0, 0.0)),
        f"{_side}_hand": (f"{_side}_forearm", (0.0, -25.0, 0.0)),
        f"{_side}_thigh": ("pelvis", (_sign * 9.0, 0.0, 0.0)),
        f"{_side}_shank": (f"{_side}_thigh", (0.0, -42.0, 0.0)),
        f"{_side}_foot": (f"{_side}_shank", (0.0, -42.0, 0.0)),
        f"{_side}_toes": (f"{_side}_foot", (0.0, -6.0, 13.0)),
    }

_ENDS = {"head": "0 18 0", "hand": "0 -18 0", "toes": "0 0 5"}
_TRUNK = ("pelvis", "abdomen", "thorax", "neck", "head")
_LIMBS = ("collar", "upper_arm", "forearm", "hand", "thigh", "shank", "foot", "toes")


@dataclass(frozen=True)
class Structure:
    """Names of the trunk's joints and the limbs', and the order of channels."""

    trunk: tuple[str, ...]
    limbs: tuple[str, ...]  # {} is the side
    order: Literal["ZXY", "ZYX", "YXZ"]  # of rotations
    everywhere: bool = False  # positions at every joint
    short: bool = False  # sides are L and R

    def name(self, part: str) -> str:
        if part in _TRUNK:
            return self.trunk[_TRUNK.index(part)]
        side, _, limb = part.partition("_")
        return self.limbs[_LIMBS.index(limb)].format(side[0].upper() if self.short else side.title())


STRUCTURES = {
    "bandai": Structure(
        ("Hips", "Spine", "Chest", "Neck", "Head"),
        ("Shoulder_{}", "UpperArm_{}", "LowerArm_{}", "Hand_{}", "UpperLeg_{}", "LowerLeg_{}", "Foot_{}", "Toes_{}"),
        "ZXY",
        everywhere=True,
        short=True,
    ),
    "cmu": Structure(
        ("Hips", "LowerBack", "Spine1", "Neck1", "Head"),
        ("{}Shoulder", "{}Arm", "{}ForeArm", "{}Hand", "{}UpLeg", "{}Leg", "{}Foot", "{}ToeBase"),
        "ZYX",
    ),
    "lafan1": Structure(
        ("Hips", "Spine", "Spine2", "Neck", "Head"),
        ("{}Shoulder", "{}Arm", "{}ForeArm", "{}Hand", "{}UpLeg", "{}Leg", "{}Foot", "{}Toe"),
        "ZYX",
    ),
    "100style": Structure(
        ("Hips", "Chest", "Chest4", "Neck", "Head"),
        ("{}Collar", "{}Shoulder", "{}Elbow", "{}Wrist", "{}Hip", "{}Knee", "{}Ankle", "{}Toe"),
        "YXZ",
    ),
}


def write_person(
    path: Path,
    frames: int,
    turns: Mapping[str, Rotation] | None = None,
    path_cm: NDArray[np.float64] | None = None,
    structure: str = "cmu",
    fps: float = FPS,
) -> Path:
    """Write a clip; ``turns`` has a part's rotations in each frame, ``path_cm`` the pelvis's place (frames, 3)."""
    made = STRUCTURES[structure]
    lines, columns = ["HIERARCHY"], list[NDArray[np.float64]]()
    place = np.tile([0.0, 90.0, 0.0], (frames, 1)) if path_cm is None else path_cm

    def write(part: str, depth: int) -> None:
        blank, positions = "  " * depth, not PARTS[part][0] or made.everywhere
        offset = PARTS[part][1]
        axes = [f"{axis}position" for axis in "XYZ"] if positions else []
        channels = [*axes, *(f"{axis}rotation" for axis in made.order)]
        kind = "JOINT" if PARTS[part][0] else "ROOT"
        lines.append(f"{blank}{kind} {made.name(part)}")
        lines.append(f"{blank}{{")
        lines.append(f"{blank}  OFFSET {offset[0]} {offset[1]} {offset[2]}")
        lines.append(f"{blank}  CHANNELS {len(channels)} {' '.join(channels)}")
        if positions:
            columns.append(np.tile(offset, (frames, 1)) if PARTS[part][0] else place)
        turn = (turns or {}).get(part)
        columns.append(np.zeros((frames, 3)) if turn is None else turn.as_euler(made.order, degrees=True))
        children = [other for other, (parent, _) in PARTS.items() if parent == part]
        for child in children:
            write(child, depth + 1)
        if not children:
            lines.extend(
                [
                    f"{blank}  End Site",
                    f"{blank}  {{",
                    f"{blank}    OFFSET {_ENDS[part.split('_')[-1]]}",
                    f"{blank}  }}",
                ]
            )
        lines.append(f"{blank}}}")

    write("pelvis", 0)
    lines += ["MOTION", f"Frames: {frames}", f"Frame Time: {1.0 / fps!r}"]
    lines += [" ".join(repr(float(value)) for value in row) for row in np.concatenate(columns, axis=1)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_bandai(root: Path) -> Path:
    """Write a data set of one short clip, named as Bandai's reference, and return its file."""
    return write_person(root / "data" / "dataset-1_walk_normal_001.bvh", 12, structure="bandai")
