"""Turning in place with Parkinson's disease: 35 people with freezing of gait, one IMU at the shank, and video.

C. Ribeiro De Souza, R. Miao, J. Avila De Oliveira, A. C. De Lima-Pardini, D. Fragoso De Campos, C. Silva-Batista,
L. Teixeira, S. Shokur, B. Mohamed, D. B. Coelho: A Public Data Set of Videos, Inertial Measurement Unit, and Clinical
Scales of Freezing of Gait in Individuals With Parkinson's Disease During a Turning-In-Place Task. Frontiers in
Neuroscience 16:832463, 2022.

- Task: alternating turns by 360 degrees, two minutes, in one to three sessions: 71 trials. Beside them, ten seconds of
  standing for each person. Freezing was annotated by specialists from the videos.
- Sensor: Physilog at the shank of the more affected side, 128 Hz, in g and deg/s; here m/s^2 and rad/s. Axes:
  mediolateral, anteroposterior, superoinferior. The range is not published, so saturation can't be told.
- Video: third person, 30 fps (29.97).
- Licence: CC BY 4.0. Get it from https://doi.org/10.6084/m9.figshare.14984667: ``IMU.zip``, ``Videos.zip``.
- Layout: unpacked anywhere below ``root``: ``SUB01_1.txt`` (person and session), ``SUB01_standing.txt``: a header,
  tabs, frame number, seconds, six readings, and a flag that is 1 while the person freezes. ``PDFE01_1.mp4`` is the
  video of ``SUB01_1``. (The ``.csv`` files beside the ``.txt`` are Excel files of the same.)
- Labels: ``freezing``, and ``turning`` for the rest of a trial; ``standing``.

**The two clocks are not the same.** The publisher lets the IMU start where the vertical acceleration first exceeds 5 %
of its maximum, cuts it to 120 s, and lets the video start at the first movement of a foot. Users who compared lengths
found more than 0.5 s of difference in 33 of 71 trials, and 7.9 s in one. Both start at 0 here, which is right to a
second or so at best: have ``clock_sync`` estimate the offset before you trust what lies below a window. It looks within
+-2 s unless ``ClockSettings.max_offset_s`` is more, and a build never looks further.
Labels are on the IMU's clock, and move with it where a build corrects it.

Checked on a fixture made from descriptions of the published files (their names, columns, rate and number are told alike
by three users of the set), not on the publisher's files. A file whose header, rate or gravity is another is refused.
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
    standing: bool = True  # the ten seconds of standing as well
    videos: bool = True  # with the videos, whose clock is another one: see the source's docstring
    video_fit: str = "crop"  # "crop", "pad" or "squash", see video_decode.VideoFile


@source("turning_in_place", TurningInPlaceParams)
class TurningInPlace(Source):
    """One recording a trial, ``SUB01_1`` or ``SUB01_standing``, with an IMU at ``shank`` and camera ``third_person``.

    Two trials were filmed only and are not there; the standing ones were not filmed.
    """

    def __init__(self, params: TurningInPlaceParams) -> None:
        self.params = params
        self.root = Path(params.root)
        self._found: dict[str, Path] | None = None

    def names(self) -> list[str]:
        """``SUB01_1`` and so on, by person and session.

        Raises:
            ValueError: there is no such data set below ``root``, or two files of one trial.
        """
        found = {}
        for stem in self._files():
            match = _NAME.fullmatch(stem)
            if match and (self.params.standing or match[2] != STANDING):
                found[stem] = match[1]
        return choose(self.root, found, self.params.subjects, "turning-in-place set", "IMU/SUB01_1.txt and others")

    def subject_of(self, name: str) -> str:
        """``SUB01`` of ``SUB01_2``."""
        match = _NAME.fullmatch(name)
        if match is None:
            raise RecordingError(f"'{name}' is no trial of the turning-in-place set; expected SUB01_1")
        return match[1]

    def load(self, name: str) -> Recording:
        """Load one trial.

        Raises:
            RecordingError: the file is missing or isn't what it should be; the message names file and line.
        """
        subject = self.subject_of(name)
        if name not in self._files():
            raise RecordingError(f"{self.root.resolve()}: no {name}.txt below it")
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
        """Texts and videos by their names without ending."""
        if self._found is None:
            self._found = {}
            for path in sorted(self.root.rglob("*")):
                mine = path.suffix.lower() in (".txt", ".mp4") and _FILE.fullmatch(path.stem)
                if mine and self._found.setdefault(path.stem, path) != path:
                    raise ValueError(f"turning_in_place: {self._found[path.stem]} and {path} are of one trial")
        return self._found


def _read(path: Path) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Times (N,) s from 0, values (N, 6), and the flag (N,)."""
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
            f"{path}, {table.place(int(np.argmax(steps <= 0)) + 1)}: time does not go on; expected it to"
        )
    rate = 1 / float(np.median(steps))
    if abs(rate - RATE_HZ) > 0.02 * RATE_HZ:
        raise RecordingError(f"{path}: by its times it was sampled at {rate:.4g} Hz; expected {RATE_HZ:g} Hz")
    values: FloatArray = np.stack(columns[1:7], axis=1)
    norm = float(np.median(np.linalg.norm(values[:, :3], axis=1)))
    if not _PLAUSIBLE_G[0] <= norm <= _PLAUSIBLE_G[1]:
        raise RecordingError(f"{path}: its acceleration is {norm:.3g} in the middle; expected g with gravity, about 1")
    return times, values * np.array([G] * 3 + [DEGREE] * 3), columns[7]


def _intervals(times: FloatArray, freezes: FloatArray, otherwise: str) -> tuple[Interval, ...]:
    bounds = [0, *(np.flatnonzero(np.diff(freezes)) + 1).tolist(), freezes.size]
    ends = [*times.tolist(), float(times[-1]) + 1 / RATE_HZ]
    return tuple(
        Interval(ends[first], ends[last], FREEZING if freezes[first] else otherwise)
        for first, last in itertools.pairwise(bounds)
    )
