"""Motion capture in BVH files: virtual motion sensors and a rendered video of a captured body.

Every recording is marked as simulated (``Recording.simulated``): a body moved so, but no sensor was there. Sensors sit
where the simulator's sit, with its parts, noise, misalignment and soft tissue; :mod:`datamodules.sources.bvh.sensors`
says what bandwidth captured frames leave.

The defaults read Bandai-Namco-Research-Motiondataset-1.
M. Kobayashi et al.: Motion Capture Dataset for Practical Use of AI-based Motion Editing and Stylization.
arXiv:2306.08861, 2023.

- Files: ``data/dataset-1_{activity}_{style}_{id}.bvh``, 30 frames/s, centimetres, y up, positions at every joint.
- People: professional actors, whose proportions were made alike, and the files do not say who is who. All clips are
  **one subject**: a source of activities, never a target that is split by people. Old, tired, ... are acted.
- Licence: CC BY-NC 4.0. Get it from https://github.com/BandaiNamcoResearchInc/Bandai-Namco-Research-Motiondataset.
- Checked on 174 of its 175 published clips.

CMU (as converted by B. Hahne), LAFAN1 and 100STYLE have the same format; their joints' names are understood, which was
tried on made files of their structure. ``files`` says what a file's name means, ``joints`` names joints that are not
found. ``metres_per_unit`` should be 0.01 for LAFAN1 and 100STYLE, 0.056444 for CMU; none of these files was at hand.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from core.suggestions import did_you_mean
from datamodules.formats.bvh import read_bvh
from datamodules.recording import Interval, Recording, RecordingError, VideoStream
from datamodules.sources.bvh.anatomy import Anatomy
from datamodules.sources.bvh.camera import CaptureCamera
from datamodules.sources.bvh.sensors import virtual_sensor, worn_sensor
from datamodules.sources.bvh.skeleton import UP_AXES, Skeleton
from datamodules.sources.manifest.patterns import Found, Pattern
from datamodules.sources.registry import Source, source
from datamodules.sources.shared.listing import choose
from datamodules.sources.shared.ranges import out_of_range
from datamodules.sources.simulator.imu_model import DEVICES, personal_mount
from datamodules.sources.simulator.people import PLACEMENTS, Person, make_person
from datamodules.sources.simulator.rotations import from_rotation_vector
from datamodules.sources.simulator.timeline import SMOOTHING_S

CAMERAS = ("third_person",)


@dataclass
class BvhParams:
    """Settings of BVH files."""

    root: str = "../shared/data/bandai-bvh"
    files: str = (
        "data/dataset-1_{activity}_{style}_{id:digits}.bvh"  # groups: activity, style, subject; others are free
    )
    subject: str = "actor"  # of files whose names have no {subject}
    subjects: list[str] = field(default_factory=list)  # empty takes all
    reference: str = "dataset-1_walk_normal_001"  # a clip of someone upright; empty takes the first
    metres_per_unit: float = 0.01
    up: str = "y"  # the files' axis that points up: x, y or z
    joints: dict[str, str] = field(default_factory=dict)  # the simulator's segment -> joint, where names do not say it
    placements: list[str] = field(default_factory=lambda: list(PLACEMENTS))
    cameras: list[str] = field(default_factory=lambda: list(CAMERAS))
    devices: list[str] = field(default_factory=lambda: ["icm20948", "bmi270"])  # assigned to clips in turn
    seed: int = 0
    frame_rate_hz: float = 30.0  # of the camera
    room_styles: int = 8
    mounting_sd_deg: float = 8.0  # standard deviation of a sensor's orientation between subjects
    slip_sd_deg: float = 2.0  # standard deviation of a sensor's orientation between a subject's clips
    soft_tissue_s: float = SMOOTHING_S  # standard deviation of the low-pass of skin and strap; 0 is a rigid mount


def _check(params: BvhParams) -> None:
    problems = []
    for name, allowed in (("placements", PLACEMENTS), ("cameras", CAMERAS), ("devices", tuple(DEVICES))):
        if unknown := [value for value in getattr(params, name) if value not in allowed]:
            problems.append(f"{name} has {unknown}; expected some of: {', '.join(allowed)}")
    if not params.devices:
        problems.append("devices is empty; expected at least one")
    if params.up not in UP_AXES:
        problems.append(f"up is '{params.up}'; expected one of: {', '.join(UP_AXES)}")
    ranges = (
        ("metres_per_unit", 1e-6, 1e3),
        ("frame_rate_hz", 1.0, 240.0),
        ("room_styles", 1, 1000),
        ("mounting_sd_deg", 0.0, 90.0),
        ("slip_sd_deg", 0.0, 90.0),
        ("soft_tissue_s", 0.0, 0.5),
    )
    problems += out_of_range(params, ranges)
    if problems:
        raise ValueError("bvh: " + "; ".join(problems))


@source("bvh", BvhParams)
class Bvh(Source):
    """One recording a file, named as the file without its ending.

    Raises:
        ValueError: settings are out of range; the message names all of them.
    """

    def __init__(self, params: BvhParams) -> None:
        _check(params)
        self.params = params
        self.root = Path(params.root)

    def names(self) -> list[str]:
        """List the files' names without their ending.

        Raises:
            ValueError: there is no file that ``files`` matches.
        """
        found = {name: self._subject(file) for name, file in self._files.items()}
        return choose(self.root, found, self.params.subjects, "BVH file", self.params.files)

    def subject_of(self, name: str) -> str:
        """Return the subject of the file's name, or the common one."""
        return self._subject(self._file(name))

    def load(self, name: str) -> Recording:
        """Load a clip and compute its sensors; frames are rendered when they are read.

        Raises:
            RecordingError: the file is malformed, or its skeleton is not understood; the message names it.
        """
        p, file = self.params, self._file(name)
        skeleton, anatomy = self._skeleton(file.path), self._anatomy
        subject = self._subject(file)
        person = self._person(subject)
        device = DEVICES[p.devices[list(self._files).index(name) % len(p.devices)]]
        imus = []
        for placement in p.placements:
            rng = self._rng(name, 100 + PLACEMENTS.index(placement))
            slip = from_rotation_vector(rng.normal(0.0, math.radians(p.slip_sd_deg), 3))
            seat = personal_mount(placement, person, slip)
            values = virtual_sensor(seat, anatomy, skeleton, p.soft_tissue_s)
            origin = f"{file.path}:{placement}"
            imus.append(worn_sensor(placement, values, skeleton.duration_s, device, origin, rng))
        rng = self._rng(name, 1)
        style, mount, exposure = int(rng.integers(p.room_styles)), int(rng.integers(4)), float(rng.uniform(0.85, 1.1))
        videos: list[VideoStream] = [
            CaptureCamera(skeleton, anatomy, person, p.seed, style, mount, p.frame_rate_hz, exposure) for _ in p.cameras
        ]
        activity = file.groups.get("activity")
        return Recording(
            name=name,
            subject=subject,
            imus=tuple(imus),
            videos=tuple(videos),
            activities=(Interval(0.0, skeleton.duration_s, activity),) if activity else (),
            source="bvh",
            simulated=True,
            metadata={
                "captured_hz": round(1.0 / skeleton.file.frame_time, 3),
                **{group: value for group, value in file.groups.items() if group not in ("activity", "subject")},
            },
        )

    @cached_property
    def _files(self) -> dict[str, Found]:
        found = Pattern(self.params.files, self.root, "files of the source bvh").find()
        files = {file.path.stem: file for file in found}
        if len(files) < len(found):
            again = next(file.path.stem for file in found if files[file.path.stem] is not file)
            raise RecordingError(f"{self.root}: two files are called '{again}'; expected names of their own")
        return files

    def _file(self, name: str) -> Found:
        if name not in self._files:
            raise RecordingError(f"{self.root}: no BVH file '{name}'{did_you_mean(name, self._files)}")
        return self._files[name]

    def _subject(self, file: Found) -> str:
        return file.groups.get("subject", self.params.subject)

    def _skeleton(self, path: Path) -> Skeleton:
        return Skeleton(read_bvh(path), self.params.metres_per_unit, self.params.up)

    @cached_property
    def _anatomy(self) -> Anatomy:
        name = self.params.reference or next(iter(self._files))
        return Anatomy(self._skeleton(self._file(name).path), self.params.joints)

    def _person(self, subject: str) -> Person:
        """Shapes, colours and misalignments of a subject, on the captured skeleton."""
        number = zlib.crc32(subject.encode())
        made = make_person(self.params.seed, "healthy", number, self.params.mounting_sd_deg)
        return replace(made, subject=subject, body=self._anatomy.body)

    def _rng(self, name: str, purpose: int) -> np.random.Generator:
        """Create random numbers that depend only on the seed, the clip and the number of their purpose."""
        return np.random.default_rng([self.params.seed, zlib.crc32(name.encode()), purpose])
