"""WEAR: 22 people, 18 outdoor workout activities, four smartwatches at the limbs and a camera on the head.

M. Bock, H. Kuehne, K. Van Laerhoven, M. Moeller: WEAR: An Outdoor Sports Dataset for Wearable and Egocentric Activity
Recognition. Proceedings of the ACM on Interactive, Mobile, Wearable and Ubiquitous Technologies 8(4), 2024.

- Sensors: Bangle.js watches at both wrists and ankles, accelerometers only, 50 Hz, +-8 g, in g; here m/s^2, with NaN
  for the missing gyroscope. Axes are the watch's own, in the same fixed orientation for all people.
- Video: egocentric, of the GoPro on the head; synchronised by the authors.
- Licence: CC BY-NC-SA 4.0. Get it from https://mariusbock.github.io/wear/ (130 GB with the videos).
- Layout, below ``root`` or ``root/raw``: ``inertial_50hz/sbj_0.csv`` (or ``inertial/50hz``, ``inertial``): a header,
  and ``sbj_id``, ``right_arm_acc_x`` .. ``_z``, the same of ``right_leg``, ``left_leg`` and ``left_arm``, and
  ``label``. Videos: ``sbj_0.mp4`` in any folder below ``root``; a session without one comes without video.
- People: sessions ``sbj_18`` and ``sbj_19`` show the people of ``sbj_0`` and ``sbj_14`` again, and get these subjects.
- Classes: jogging (also rotating arms, skipping, sidesteps, butt-kicks), stretching (triceps, lunging, shoulders,
  hamstrings, lumbar rotation), push-ups, sit-ups, lunges (each also complex), burpees, bench-dips; here in lower case
  with ``_``: ``jogging_rotating_arms``. "null" and an empty label are unlabelled.

Times: sample i is at i / 50 s. Empty readings are lost samples.

Checked on a fixture, not on the publisher's files: the format follows the authors' code (github.com/mariusbock/wear)
and public loaders of the set. One of these loaders has the two repeated people, which agrees with 24 sessions of 22
people. The names of video files could not be looked up: a video is found only if it has its session's name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datamodules.formats.video import VideoFile
from datamodules.recording import FloatArray, ImuStream, Interval, Recording, RecordingError
from datamodules.signal import G
from datamodules.sources.manifest.csv_table import CsvTable
from datamodules.sources.manifest.spec import DEFAULT_NULLS, CsvSpec
from datamodules.sources.manifest.table import NUMBER, TEXT, Wanted, read_all
from datamodules.sources.registry import Source, source
from datamodules.sources.shared.listing import choose, folder

RATE_HZ = 50.0
PLACEMENTS = {
    "right_arm": "right_wrist",
    "right_leg": "right_ankle",
    "left_leg": "left_ankle",
    "left_arm": "left_wrist",
}
ACTIVITIES = {
    text: re.sub(r"[^a-z]+", "_", text).strip("_")
    for text in (
        "jogging", "jogging (rotating arms)", "jogging (skipping)", "jogging (sidesteps)", "jogging (butt-kicks)",
        "stretching (triceps)", "stretching (lunging)", "stretching (shoulders)", "stretching (hamstrings)",
        "stretching (lumbar rotation)", "push-ups", "push-ups (complex)", "sit-ups", "sit-ups (complex)", "burpees",
        "lunges", "lunges (complex)", "bench-dips",
    )
}  # fmt: skip
SAME_PERSON = {"sbj_18": "sbj_0", "sbj_19": "sbj_14"}
_FOLDERS = ("raw/inertial_50hz", "inertial_50hz", "raw/inertial/50hz", "inertial/50hz", "raw/inertial", "inertial")
_NAME = re.compile(r"sbj_(\d+)")
_LIMBS_COLUMNS = tuple(f"{limb}_acc_{axis}" for limb in PLACEMENTS for axis in "xyz")
_LARGEST_G = 16.0  # a larger reading is impossible for a watch with a range of 8 g


@dataclass
class WearParams:
    """Settings of WEAR."""

    root: str = "../wear"
    subjects: list[str] = field(default_factory=list)  # e.g. ["sbj_0", "sbj_3"]; empty takes all
    video_fit: str = "crop"  # "crop", "pad" or "squash", see formats.video.VideoFile


@source("wear", WearParams)
class Wear(Source):
    """One recording per session, ``sbj_0``, with IMUs at both wrists and ankles, and camera ``head`` if there."""

    def __init__(self, params: WearParams) -> None:
        self.params = params
        self.root = Path(params.root)
        self._videos: dict[str, list[Path]] | None = None

    def names(self) -> list[str]:
        """List the names, e.g. ``sbj_0``, by number.

        Raises:
            ValueError: there is no such data set below ``root``.
        """
        found = {p.stem: self.subject_of(p.stem) for p in self._folder().glob("sbj_*.csv") if _NAME.fullmatch(p.stem)}
        return choose(self.root, found, self.params.subjects, "WEAR", "raw/inertial_50hz/sbj_0.csv and others")

    def subject_of(self, name: str) -> str:
        """Return the name of the same person's first session."""
        return SAME_PERSON.get(name, name)

    def load(self, name: str) -> Recording:
        """Load one session.

        Raises:
            RecordingError: the file is missing or malformed; the message names file and line.
        """
        match = _NAME.fullmatch(name)
        if match is None:
            raise RecordingError(f"'{name}' is not a session of WEAR; expected sbj_0")
        path = self._folder() / f"{name}.csv"
        values, activities = _read(path, int(match[1]))
        times = np.arange(len(values)) / RATE_HZ
        streams = []
        for i, placement in enumerate(PLACEMENTS.values()):
            six = np.full((len(values), 6), np.nan)
            six[:, :3] = values[:, 3 * i : 3 * i + 3]
            streams.append(
                ImuStream(times, six, placement, device="Bangle.js", acceleration_range=8 * G, origin=str(path))
            )
        videos = self._video_files().get(name, [])
        if len(videos) > 1:
            raise RecordingError(
                f"{path}: {len(videos)} videos are named '{name}' below {self.root}: {', '.join(map(str, videos))}; "
                "expected one"
            )
        return Recording(
            name=name,
            subject=self.subject_of(name),
            imus=tuple(streams),
            videos=tuple(VideoFile(video, "head", fit=self.params.video_fit) for video in videos),
            activities=activities,
            labelled_on=tuple(PLACEMENTS.values()),
            source="wear",
        )

    def _folder(self) -> Path:
        return folder(self.root, _FOLDERS, "WEAR", "raw/inertial_50hz/sbj_0.csv")

    def _video_files(self) -> dict[str, list[Path]]:
        if self._videos is None:
            self._videos = {}
            for path in sorted(self.root.rglob("sbj_*")):
                if path.suffix.lower() == ".mp4" and path.is_file():
                    self._videos.setdefault(path.stem, []).append(path)
        return self._videos


def _read(path: Path, session: int) -> tuple[FloatArray, tuple[Interval, ...]]:
    """Read the accelerations of the four limbs (N, 12), m/s^2, and the labels."""
    wanted = [Wanted("sbj_id", NUMBER, "session")]
    wanted += [Wanted(name, NUMBER, "acceleration") for name in _LIMBS_COLUMNS]
    wanted.append(Wanted("label", TEXT, "activity"))
    table = CsvTable(path, CsvSpec(separator=",", null=list(DEFAULT_NULLS)), wanted)
    columns = read_all(table)
    if len(columns[0]) < 2:
        raise RecordingError(f"{path}: {len(columns[0])} samples; expected at least 2")
    others = np.flatnonzero(columns[0] != session)
    if others.size:
        raise RecordingError(
            f"{path}, {table.place(int(others[0]))}, column 'sbj_id': found {columns[0][others[0]]:g}; "
            f"expected {session}"
        )
    values: FloatArray = np.stack(columns[1:-1], axis=1)
    beyond = np.argwhere(np.abs(values) > _LARGEST_G)
    if beyond.size:
        row, column = (int(i) for i in beyond[0])
        raise RecordingError(
            f"{path}, {table.place(row)}, column '{_LIMBS_COLUMNS[column]}': found {values[row, column]:g}; expected "
            "g, within +-8"
        )
    values *= G
    return values, _intervals(path, table, columns[-1])


def _intervals(path: Path, table: CsvTable, codes: NDArray[np.int32]) -> tuple[Interval, ...]:
    names = table.vocabularies[len(table.wanted) - 1].names
    bounds = np.concatenate([[0], np.flatnonzero(np.diff(codes)) + 1, [codes.size]])
    intervals = []
    for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        code = int(codes[first])
        if code < 0:
            continue
        if names[code] not in ACTIVITIES:
            raise RecordingError(
                f"{path}, {table.place(first)}, column 'label': found '{names[code][:60]}'; expected one of WEAR's "
                f"activities, such as {', '.join(list(ACTIVITIES)[:3])}, or null"
            )
        intervals.append(Interval(first / RATE_HZ, last / RATE_HZ, ACTIVITIES[names[code]]))
    return tuple(intervals)
