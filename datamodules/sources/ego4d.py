"""Ego4D: head-mounted cameras of 931 people in daily life; where the camera has an IMU, its samples.

K. Grauman et al.: Ego4D: Around the World in 3,000 Hours of Egocentric Video. CVPR 2022.

- Sensor: the camera's own (mostly GoPro), on the head; about 200 Hz, m/s^2 with gravity and rad/s, uncalibrated; axes
  and ranges differ by device and are not published, so saturation can't be told. About 836 h have an IMU.
- Licence: the Ego4D licence agreement, to be signed at https://ego4d-data.org; no redistribution. Download with
  ``ego4d --output_directory=ROOT --datasets imu video_540ss --metadata`` (pip install ego4d).
- Layout below ``root`` (https://ego4d-data.org/docs/data/imu): ``ego4d.json``, and in a folder by version (``v2``):
  ``imu/{video_uid}.csv``, ``video_540ss/{video_uid}.mp4`` or ``full_scale/{video_uid}.mp4``, ``clips/{clip_uid}.mp4``.
- Labels: none; ``metadata["scenarios"]`` has the video's scenarios. The subject is ``fb_participant_id``; videos
  without one count as one person for each university.

The CSV has ``component_idx, component_timestamp_ms, canonical_timestamp_ms, gyro_x .. accl_z``. Canonical stamps are
those of the MP4. The publisher warns of four faults; each is counted in ``metadata``:

- Stamps that are NULL (``imu_rows_without_time``) or far outside the video (``imu_rows_outside``): left out.
- Missing accelerations: lost samples (NaN).
- Stamps that step back (``imu_steps_back``): the rows are sorted by their canonical stamps, as the publisher says.
  That is right for packets that are out of order. Where packets overlap in time nobody can tell whose samples are
  right: both are left out (``imu_rows_ambiguous``), which leaves a gap. Users report that pictures and samples disagree
  by 0.5 to 1 s mostly where stamps step back (https://github.com/facebookresearch/Ego4d/issues/158):
  ``out_of_order: refuse`` leaves such recordings out, and ``clock_sync`` measures the disagreement.
- Stamps that are there twice (``imu_rows_repeated``): the first counts.

``bad_windows`` names a list of bad stretches, [[video_uid, start, end], ...] in seconds, as JSON: IMU2CLIP publishes
two (https://github.com/facebookresearch/imu2clip, ``dataset/ego4d/bad_imu_windows_5.0.json``). Samples in them are
left out (``imu_rows_in_bad_windows``).

Checked on a fixture made from the published description and its sample, not on the publisher's files. The names of the
clips' fields (``clip_uid``, ``video_uid``, ``video_start_sec``, ``video_end_sec``) could not be looked up; a file
without them is refused.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.formats.video import VideoFile
from datamodules.recording import FloatArray, ImuStream, Recording, RecordingError
from datamodules.sources.manifest.csv_table import CsvTable
from datamodules.sources.manifest.spec import CsvSpec
from datamodules.sources.manifest.table import NUMBER, Wanted
from datamodules.sources.registry import Source, source
from datamodules.sources.shared.listing import choose, folder

VIDEO_FOLDERS = ("video_540ss", "full_scale")
CLIPS = "clips"
_TIME = "canonical_timestamp_ms"
_COLUMNS = (_TIME, "accl_x", "accl_y", "accl_z", "gyro_x", "gyro_y", "gyro_z")
_VERSIONS = ("", "v2_1", "v2", "v1")
_OUTSIDE_S = 1.0  # beyond either end of the video; the sensor may run on a little
_LONGEST_S = 86400.0  # where the metadata does not say how long the video is
_BREAK_S = 0.1  # samples further apart are not of one packet


@dataclass
class Ego4dParams:
    """Settings of Ego4D."""

    root: str = "../ego4d_data"
    subjects: list[str] = field(default_factory=list)  # fb_participant_id; empty takes all
    videos: str = "auto"  # "video_540ss", "full_scale", "clips", or "auto": the first of the former two that is there
    out_of_order: str = "sort"  # or "refuse": leave out recordings whose stamps step back
    bad_windows: str = ""  # a JSON file with [video_uid, start_s, end_s] of stretches to leave out
    video_fit: str = "crop"  # "crop", "pad" or "squash", see video_decode.VideoFile


@dataclass(frozen=True)
class _Video:
    """What the metadata say of a video or clip: the video's uid, and where in it the MP4 starts and ends, s."""

    uid: str
    subject: str
    start: float
    end: float
    device: str
    scenarios: str


@source("ego4d", Ego4dParams)
class Ego4d(Source):
    """One recording a video (or clip) that has both MP4 and IMU, with IMU and camera ``head``.

    Raises:
        ValueError: a setting is none of its choices.
    """

    def __init__(self, params: Ego4dParams) -> None:
        for name, value, known in (
            ("videos", params.videos, ("auto", *VIDEO_FOLDERS, CLIPS)),
            ("out_of_order", params.out_of_order, ("sort", "refuse")),
        ):
            if value not in known:
                raise ValueError(f"ego4d: {name} is '{value}'; expected one of {', '.join(known)}")
        self.params = params
        self.root = Path(params.root)
        self._videos: dict[str, _Video] | None = None
        self._bad: dict[str, list[tuple[float, float]]] | None = None

    def names(self) -> list[str]:
        """Uids of videos (or clips), in alphabetical order; those without an IMU file or an MP4 are left out.

        Raises:
            ValueError: there is no such data set below ``root``.
            RecordingError: the metadata can't be read.
        """
        data = self._data()
        with_imu = {path.stem for path in (data / "imu").glob("*.csv")}
        known = self._metadata()
        found = {}
        for path in self._video_folder().glob("*.mp4"):
            video = known.get(path.stem)
            if video is not None and video.uid in with_imu:
                found[path.stem] = video.subject
        expected = f"imu/UID.csv, {self._video_folder().name}/UID.mp4 and both in ego4d.json"
        return choose(data, found, self.params.subjects, "Ego4D video with IMU", expected)

    def subject_of(self, name: str) -> str:
        """The subject's number.

        Raises:
            RecordingError: the metadata don't know the video.
        """
        return self._known(name).subject

    def load(self, name: str) -> Recording:
        """Load one video's samples.

        Raises:
            RecordingError: a file is missing or isn't what it should be; the message names file and line.
        """
        video = self._known(name)
        path = self._data() / "imu" / f"{video.uid}.csv"
        times, values, counts = _read(path, video.end if self.params.videos != CLIPS else _LONGEST_S)
        if counts["imu_steps_back"] and self.params.out_of_order == "refuse":
            raise RecordingError(
                f"{path}: its canonical stamps step back {counts['imu_steps_back']} times, and out_of_order is 'refuse'"
            )
        keep = (times >= video.start - _OUTSIDE_S) & (times <= video.end + _OUTSIDE_S)
        bad = np.zeros(times.size, np.bool_)
        for start, end in self._bad_windows().get(video.uid, ()):
            bad |= (times >= start) & (times < end)
        counts["imu_rows_in_bad_windows"] = int((bad & keep).sum())
        keep &= ~bad
        if keep.sum() < 2:
            raise RecordingError(f"{path}: {keep.sum()} usable samples in '{name}'; expected at least 2 ({counts})")
        stream = ImuStream(times[keep] - video.start, values[keep], "head", video.device, origin=str(path))
        mp4 = self._video_folder() / f"{name}.mp4"
        metadata: dict[str, str | float | int | bool] = {"scenarios": video.scenarios, "video_uid": video.uid, **counts}
        return Recording(
            name=name,
            subject=video.subject,
            imus=(stream,),
            videos=(VideoFile(mp4, "head", fit=self.params.video_fit),),
            source="ego4d",
            metadata=metadata,
        )

    def _data(self) -> Path:
        found = folder(self.root, [f"{v}/imu" if v else "imu" for v in _VERSIONS], "Ego4D IMU", "v2/imu/UID.csv")
        return found.parent

    def _video_folder(self) -> Path:
        chosen = VIDEO_FOLDERS if self.params.videos == "auto" else (self.params.videos,)
        return folder(self._data(), chosen, "Ego4D videos", f"{' or '.join(chosen)} with MP4 files")

    def _known(self, name: str) -> _Video:
        videos = self._metadata()
        if name not in videos:
            raise RecordingError(f"{self._metadata_file()}: no video or clip '{name}' in it")
        return videos[name]

    def _metadata_file(self) -> Path:
        for path in (self.root / "ego4d.json", self._data() / "ego4d.json", self._data().parent / "ego4d.json"):
            if path.is_file():
                return path
        raise RecordingError(f"{self.root.resolve()}: no ego4d.json; expected it there (--metadata of the download)")

    def _metadata(self) -> dict[str, _Video]:
        if self._videos is None:
            path = self._metadata_file()
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
                videos = {entry["video_uid"]: _describe(entry) for entry in content["videos"]}
                if self.params.videos == CLIPS:
                    videos = {entry["clip_uid"]: _cut(entry, videos) for entry in content["clips"]}
            except KeyError as error:
                raise RecordingError(f"{path}: an entry has no {error}; expected the fields of Ego4D") from error
            except (ValueError, TypeError, AttributeError) as error:
                raise RecordingError(f"{path}: not Ego4D's metadata: {error}") from error
            self._videos = videos
        return self._videos

    def _bad_windows(self) -> dict[str, list[tuple[float, float]]]:
        if self._bad is None:
            self._bad = {}
            if self.params.bad_windows:
                path = Path(self.params.bad_windows)
                try:
                    for uid, start, end in json.loads(path.read_text(encoding="utf-8")):
                        self._bad.setdefault(str(uid), []).append((float(start), float(end)))
                except (OSError, ValueError, TypeError) as error:
                    raise RecordingError(
                        f"{path}: no list of [video_uid, start, end] (the source's 'bad_windows'): {error}"
                    ) from error
        return self._bad


def _describe(entry: dict[str, Any]) -> _Video:
    person = entry.get("fb_participant_id")
    duration = entry.get("duration_sec")
    return _Video(
        uid=str(entry["video_uid"]),
        subject=str(person) if person is not None else f"unknown of {entry.get('video_source')}",
        start=0.0,
        end=float(duration) if duration else _LONGEST_S,
        device=str(entry.get("device") or "unknown"),
        scenarios=", ".join(entry.get("scenarios") or ()),
    )


def _cut(entry: dict[str, Any], videos: dict[str, _Video]) -> _Video:
    whole = videos[entry["video_uid"]]
    start, end = float(entry["video_start_sec"]), float(entry["video_end_sec"])
    if not 0 <= start < end:
        raise ValueError(f"clip {entry['clip_uid']} lasts from {start} to {end} s of its video")
    return _Video(whole.uid, whole.subject, start, end, whole.device, whole.scenarios)


def _read(path: Path, duration: float) -> tuple[FloatArray, FloatArray, dict[str, int]]:
    """Times (N,) s, strictly ascending, values (N, 6), and what was wrong how often."""
    table = CsvTable(path, CsvSpec(separator=","), [Wanted(name, NUMBER, name) for name in _COLUMNS])
    rows = np.empty((table.most_rows(), len(_COLUMNS)))
    n = 0
    for batch in table.batches():
        for i, column in enumerate(batch):
            rows[n : n + len(column), i] = column
        n += len(batch[0])
    rows = rows[:n]
    if np.isinf(rows).any():
        row, at = (int(i) for i in np.argwhere(np.isinf(rows))[0])
        raise RecordingError(
            f"{path}, {table.place(row)}, column '{_COLUMNS[at]}': found {rows[row, at]}; expected a finite number"
        )
    timed = ~np.isnan(rows[:, 0])
    counts = {"imu_rows": n, "imu_rows_without_time": int(n - timed.sum())}
    times = rows[:, 0] / 1000
    inside = timed & (times >= -_OUTSIDE_S) & (times <= duration + _OUTSIDE_S)
    counts["imu_rows_outside"] = int(timed.sum() - inside.sum())
    times, values = times[inside], rows[inside, 1:]
    order, found = sort_packets(times)
    return times[order], values[order], counts | found


def sort_packets(times: FloatArray) -> tuple[NDArray[np.int64], dict[str, int]]:
    """Which samples to take, and in which order, so that their times ascend.

    Samples in the order of the file are split into packets where a stamp steps back, or forward by more than 0.1 s.
    Packets are put in order. A sample at a time that another packet covers as well is left out.

    Args:
        times: (N,) seconds, in the order of the file.

    Returns:
        (M,) positions, and the counts of steps back, samples left out as ambiguous, and repeated ones.
    """
    if times.size == 0:
        return np.empty(0, np.int64), {"imu_steps_back": 0, "imu_rows_ambiguous": 0, "imu_rows_repeated": 0}
    steps = np.diff(times)
    breaks = np.flatnonzero((steps < 0) | (steps > _BREAK_S)) + 1
    starts = np.sort(times[np.concatenate([[0], breaks])])
    ends = np.sort(times[np.concatenate([breaks - 1, [times.size - 1]])])
    covers = np.searchsorted(starts, times, "right") - np.searchsorted(ends, times, "left")
    clear = np.flatnonzero(covers == 1)
    order = clear[np.argsort(times[clear], kind="stable")]
    fresh = np.ones(order.size, np.bool_)
    fresh[1:] = np.diff(times[order]) > 0
    counts = {
        "imu_steps_back": int((steps < 0).sum()),
        "imu_rows_ambiguous": int(times.size - clear.size),
        "imu_rows_repeated": int(order.size - fresh.sum()),
    }
    return order[fresh], counts
