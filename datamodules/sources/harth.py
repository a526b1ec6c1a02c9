"""HARTH: 22 people in everyday life, 12 activities, accelerometers at lower back and thigh.

A. Logacjov, K. Bach, A. Kongsvold, H. B. Bårdstu, P. J. Mork: HARTH: A Human Activity Recognition Dataset for Machine
Learning. Sensors 21(23):7853, 2021.

- People: 22 in Trondheim, S006 to S029, about two hours each outside the lab; labelled frame by frame from the
  unpublished videos of a chest camera.
- Sensors: two Axivity AX3 accelerometers, at the lower back and the right thigh, 50 Hz, +-8 g, in g; here m/s^2. No
  gyroscope. Axes are the device's.
- Licence: CC BY 4.0. Get it from the UCI Machine Learning Repository ("HARTH") or github.com/ntnu-ai-lab/
  harth-ml-experiments.
- Layout below ``root``, or below ``harth`` in it: ``S006.csv``, one recording per person, comma-separated with a
  header: ``timestamp`` (date and time), ``back_x`` to ``thigh_z``, ``label``. Three files also have an index column.

Every sample has a label. Of samples with the same stamp, the first is kept. Stamps that run backwards are refused.
Missing stamps leave a gap.

Checked on files made from this description (the publisher's readme and loaders in public repositories), not on the
publisher's. The publisher's list includes labels 130 and 140 (cycling, inactive).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from datamodules.recording import Recording, RecordingError
from datamodules.sources.manifest.labels import intervals_of_samples
from datamodules.sources.manifest.motion import read_motion
from datamodules.sources.manifest.spec import AccelerationSpec, ImuSpec, LabelsSpec, SensorSpec, TimeSpec
from datamodules.sources.registry import Source, source
from datamodules.sources.shared.listing import choose, nested_or_root
from datamodules.sources.shared.streams import refuse_other_units, with_samples

ACTIVITIES = {
    1: "walking",
    2: "running",
    3: "shuffling",
    4: "stairs_up",
    5: "stairs_down",
    6: "standing",
    7: "sitting",
    8: "lying",
    13: "cycling_sitting",
    14: "cycling_standing",
    130: "cycling_sitting_inactive",
    140: "cycling_standing_inactive",
}
PLACEMENTS = {"lower_back": "back", "right_thigh": "thigh"}  # placement -> prefix of its columns
_EXPECTED = "S006.csv and others, or harth/S006.csv"
_NAME = re.compile(r"S[0-9]{3}")
_SPEC = ImuSpec(
    files="",
    sensors={
        placement: SensorSpec(AccelerationSpec([f"{name}_{axis}" for axis in "xyz"], "g", range=8.0), device="AX3")
        for placement, name in PLACEMENTS.items()
    },
    time=TimeSpec(column="timestamp", unit="iso8601", repeated="first"),
)
_LABELS = LabelsSpec(names={str(number): name for number, name in ACTIVITIES.items()})


@dataclass
class HarthParams:
    """Settings of HARTH."""

    root: str = "data/raw/harth"  # the folder that holds S006.csv and others, or harth
    subjects: list[str] = field(default_factory=list)  # e.g. ["S006"]; empty takes all


@source("harth", HarthParams)
class Harth(Source):
    """One recording per person, named ``S006``, with accelerometers at ``lower_back`` and ``right_thigh``."""

    def __init__(self, params: HarthParams) -> None:
        self.params = params
        self.root = Path(params.root)

    def names(self) -> list[str]:
        """List the names, e.g. ``S006``.

        Raises:
            ValueError: there is no such data set below ``root``.
        """
        found = {path.stem: path.stem for path in self._folder().glob("S*.csv") if _NAME.fullmatch(path.stem)}
        return choose(self.root, found, self.params.subjects, "HARTH", _EXPECTED)

    def subject_of(self, name: str) -> str:
        """Return the recording's name, which is the subject."""
        if not _NAME.fullmatch(name):
            raise RecordingError(f"'{name}' is not a recording of HARTH; expected S006")
        return name

    def load(self, name: str) -> Recording:
        """Load one person's recording.

        Raises:
            RecordingError: the file is missing or malformed; the message names file and line.
        """
        subject = self.subject_of(name)
        path = self._folder() / f"{name}.csv"
        motion = read_motion(path, _SPEC, "label")
        streams, off = with_samples(motion.streams(_SPEC, path, float(motion.times[0])))
        refuse_other_units(streams)
        assert motion.label_codes is not None
        times = motion.times - motion.times[0]
        return Recording(
            name=name,
            subject=subject,
            imus=streams,
            activities=tuple(intervals_of_samples(times, motion.label_codes, motion.label_names, _LABELS, path)),
            population="healthy",
            source="harth",
            metadata={"off": ", ".join(off)} if off else {},
        )

    def _folder(self) -> Path:
        return nested_or_root(self.root, "harth")
