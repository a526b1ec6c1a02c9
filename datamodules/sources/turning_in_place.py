"""Turning in place with Parkinson's disease: 35 people with freezing of gait, one IMU at the shank, video.

C. Ribeiro De Souza, R. Miao, J. Avila De Oliveira, A. C. De Lima-Pardini, D. Fragoso De Campos, C. Silva-Batista,
L. Teixeira, S. Shokur, B. Mohamed, D. B. Coelho: A Public Data Set of Videos, Inertial Measurement Unit, and Clinical
Scales of Freezing of Gait in Individuals With Parkinson's Disease During a Turning-In-Place Task. Frontiers in
Neuroscience 16:832463, 2022.

- Task: alternating turns by 360 degrees, two minutes, in one to three sessions: 71 trials. Each person also has ten
  seconds of standing. Specialists annotated freezing from the videos.
- Sensor: Physilog at the shank of the more affected side, 128 Hz, in g and deg/s; here m/s^2 and rad/s. Axes:
  mediolateral, anteroposterior, superoinferior. The range is unpublished, so saturation is unknown.
- Video: third person, 30 fps (29.97).
- Licence: CC BY 4.0. Get it from https://doi.org/10.6084/m9.figshare.14984667: ``IMU.zip``, ``Videos.zip``.
- Layout: unpacked anywhere below ``root``: ``SUB01_1.txt`` (person and session), ``SUB01_standing.txt``: a header,
  tabs, frame number, seconds, six readings, and a flag that is 1 while the person freezes. ``PDFE01_1.mp4`` is the
  video of ``SUB01_1``. (The ``.csv`` files beside the ``.txt`` are Excel files of the same.)
- Labels: ``freezing``, and ``turning`` for the rest of a trial; ``standing``.

**The IMU and the video have different clocks.** The publisher starts the IMU where the vertical acceleration first
exceeds 5 % of its maximum, cuts it to 120 s, and starts the video at the first movement of a foot. Users compared the
lengths: they differ by more than 0.5 s in 33 of 71 trials, and by 7.9 s in one. Both start at 0 here, which is right
to about a second at best. Let ``clock_sync`` estimate the offset before you trust the pairing of windows and frames. It
searches +-2 s unless ``ClockSettings.max_offset_s`` is larger; a build always searches +-2 s.
Labels are on the IMU's clock, and move with it if a build corrects the clock.

Checked on a fixture made from descriptions of the published files (three users of the set agree on names, columns,
rate and number), not on the publisher's files. A file with another header, rate or gravity is refused.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from datamodules.formats.video import VideoFile
from datamodules.recording import FloatArray, ImuStream, Interval, Recording, RecordingError, VideoStream
from datamodules.signal import DEGREE, G
from datamodules.sources.manifest.csv_table import CsvTable
from datamodules.sources.manifest.spec import CsvSpec
from datamodules.sources.manifest.table import NUMBER, Wanted, read_all
from datamodules.sources.registry import Source, source
from datamodules.sources.shared.listing import choose

RATE_HZ = 128.0
FREEZING, TURNING, STANDING = "freezing", "turning", "standing"
_ENCODING = "latin-1"  # for a degree sign in the header
_FILE = re.compile(r"(SUB|PDFE)\d\d_\w+")
_NAME = re.compile(r"(SUB\d\d)_(\d|standing)")
_HEADER = (
    r"Frame #",
    r"Time \[s\]",
    *(rf"ACC {axis} \[g\]" for axis in ("ML", "AP", "SI")),
    *(rf"GYR {axis} \[(deg|\xb0)/s\]" for axis in ("ML", "AP", "SI")),
    r"Freezing event \[flag\]",
)
_READABLE = "Frame #, Time [s], ACC ML [g], ..., GYR SI [deg/s], Freezing event [flag]"
_WHAT = ("time", "acc ml", "acc ap", "acc si", "gyr ml", "gyr ap", "gyr si", "flag")
_PLAUSIBLE_G = (0.5, 2.0)


@dataclass
class TurningInPlaceParams:
    """Settings of the turning-in-place set."""

    root: str = "../turning_in_place"
    subjects: list[str] = field(default_factory=list)  # e.g. ["SUB01", "SUB12"]; empty takes all
    standing: bool = True  # include the ten seconds of standing
    videos: bool = True  # include the videos, which have another clock: see the source's docstring
    video_fit: str = "crop"  # "crop", "pad" or "squash", see formats.video.VideoFile


@source("turning_in_place", TurningInPlaceParams)
class TurningInPlace(Source):
    """One recording per trial, ``SUB01_1`` or ``SUB01_standing``, with an IMU at ``shank`` and camera ``third_person``.

    Two trials have only a video and are left out. Standing was not filmed.
    """

    def __init__(self, params: TurningInPlaceParams) -> None:
        self.params = params
        self.root = Path(params.root)
        self._found: dict[str, Path] | None = None

    def names(self) -> list[str]:
        """List the names, e.g. ``SUB01_1``, by person and session.

        Raises:
            ValueError: there is no such data set below ``root``, or a trial has two files.
        """
        found = {}
        for stem in self._files():
            match = _NAME.fullmatch(stem)
            if match and (self.params.standing or match[2] != STANDING):
                found[stem] = match[1]
        return choose(self.root, found, self.params.subjects, "turning-in-place set", "IMU/SUB01_1.txt and others")

    def subject_of(self, name: str) -> str:
        """Return ``SUB01`` for ``SUB01_2``."""
        match = _NAME.fullmatch(name)
        if match is None:
            raise RecordingError(f"'{name}' is not a trial of the turning-in-place set; expected SUB01_1")
        return match[1]

    def load(self, name: str) -> Recording:
        """Load one trial.

        Raises:
            RecordingError: the file is missing or malformed; the message names file and line.
        """
        subject = self.subject_of(name)
        if name not in self._files():
            raise RecordingError(f"{self.root.absolute()}: no {name}.txt below it")
        path = self._files()[name]
        times, values, freezes = _read(path)
        standing = name.endswith(STANDING)
        if standing and freezes.any():
            raise RecordingError(f"{path}: flags of freezing while standing; expected none")
        videos: tuple[VideoStream, ...] = ()
        video = self._files().get(name.replace("SUB", "PDFE"))
        if self.params.videos and video is not None:
            videos = (VideoFile(video, "third_person", fit=self.params.video_fit),)
        return Recording(
            name=name,
            subject=subject,
            imus=(ImuStream(times, values, "shank", device="Physilog", origin=str(path)),),
            videos=videos,
            activities=_intervals(times, freezes, STANDING if standing else TURNING),
            labelled_on=("shank",),
            population="parkinson",
            source="turning_in_place",
            metadata={"clocks": "IMU and video both start at 0, but not by one clock"} if videos else {},
        )

    def _files(self) -> dict[str, Path]:
        """Find text files and videos, by name without ending."""
        if self._found is None:
            self._found = {}
            for path in sorted(self.root.rglob("*")):
                mine = path.suffix.lower() in (".txt", ".mp4") and _FILE.fullmatch(path.stem)
                if mine and self._found.setdefault(path.stem, path) != path:
                    raise ValueError(f"turning_in_place: {self._found[path.stem]} and {path} are the same trial")
        return self._found


def _read(path: Path) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Read times (N,) from 0 in seconds, values (N, 6) and the flag of freezing (N,)."""
    spec = CsvSpec(separator="\t", encoding=_ENCODING)
    wanted = [Wanted(i + 2, NUMBER, what) for i, what in enumerate(_WHAT)]
    with path.open(encoding=_ENCODING) as file:
        header = [text.strip() for text in file.readline().rstrip("\r\n").rstrip("\t").split("\t")]
    if len(header) != len(_HEADER) or not all(map(re.fullmatch, _HEADER, header)):
        raise RecordingError(f"{path}, line 1: the header is {', '.join(header)[:200]!r}; expected {_READABLE}")
    table = CsvTable(path, spec, wanted)
    columns: list[FloatArray] = read_all(table)
    if len(columns[0]) < 2:
        raise RecordingError(f"{path}: {len(columns[0])} samples; expected at least 2")
    for what, column in zip(_WHAT, columns, strict=True):
        bad = ~np.isfinite(column)
        if what == "flag":
            bad |= (column != 0) & (column != 1)
        if bad.any():
            row = int(np.argmax(bad))
            expected = "0 or 1" if what == "flag" else "a finite number"
            raise RecordingError(f"{path}, {table.place(row)}, {what}: found {column[row]}; expected {expected}")
    times = columns[0] - columns[0][0]
    steps = np.diff(times)
    if (steps <= 0).any():
        raise RecordingError(
            f"{path}, {table.place(int(np.argmax(steps <= 0)) + 1)}: time does not increase; expected increasing times"
        )
    rate = 1 / float(np.median(steps))
    if abs(rate - RATE_HZ) > 0.02 * RATE_HZ:
        raise RecordingError(f"{path}: the rate by its times is {rate:.4g} Hz; expected {RATE_HZ:g} Hz")
    values: FloatArray = np.stack(columns[1:7], axis=1)
    norm = float(np.median(np.linalg.norm(values[:, :3], axis=1)))
    if not _PLAUSIBLE_G[0] <= norm <= _PLAUSIBLE_G[1]:
        raise RecordingError(f"{path}: the median acceleration is {norm:.3g}; expected g with gravity, about 1")
    return times, values * np.array([G] * 3 + [DEGREE] * 3), columns[7]


def _intervals(times: FloatArray, freezes: FloatArray, otherwise: str) -> tuple[Interval, ...]:
    bounds = [0, *(np.flatnonzero(np.diff(freezes)) + 1).tolist(), freezes.size]
    ends = [*times.tolist(), float(times[-1]) + 1 / RATE_HZ]
    return tuple(
        Interval(ends[first], ends[last], FREEZING if freezes[first] else otherwise)
        for first, last in itertools.pairwise(bounds)
    )
