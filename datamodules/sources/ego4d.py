"""Ego4D: head-mounted cameras of 931 people in daily life, with the camera's IMU if it has one.

K. Grauman et al.: Ego4D: Around the World in 3,000 Hours of Egocentric Video. CVPR 2022.

- Sensor: the camera's own (mostly GoPro), on the head; about 200 Hz, m/s^2 with gravity and rad/s, uncalibrated; axes
  and ranges differ by device and are unpublished, so saturation is unknown. About 836 h have an IMU.
- Licence: the Ego4D licence agreement, to be signed at https://ego4d-data.org; no redistribution. Download with
  ``ego4d --output_directory=ROOT --datasets imu video_540ss --metadata`` (pip install ego4d).
- Layout below ``root`` (https://ego4d-data.org/docs/data/imu): ``ego4d.json``, and in a folder by version (``v2``):
  ``imu/{video_uid}.csv``, ``video_540ss/{video_uid}.mp4`` or ``full_scale/{video_uid}.mp4``, ``clips/{clip_uid}.mp4``.
- Labels: none; ``metadata["scenarios"]`` has the video's scenarios. The subject is ``fb_participant_id``; all videos of
  a university without this field count as one person.

The CSV has ``component_idx, component_timestamp_ms, canonical_timestamp_ms, gyro_x .. accl_z``. Canonical stamps are
on the MP4's clock. The publisher warns of four faults; ``metadata`` counts each:

- Stamps that are NULL (``imu_rows_without_time``) or far outside the video (``imu_rows_outside``): the rows are
  dropped.
- Missing accelerations: lost samples (NaN).
- Stamps that step back (``imu_steps_back``): the rows are sorted by their canonical stamps, as the publisher advises.
  This is right for packets that are out of order. If packets overlap in time, the right samples are unknown: both are
  dropped (``imu_rows_ambiguous``), which leaves a gap. Users report that pictures and samples disagree by 0.5 to 1 s
  mostly where stamps step back (https://github.com/facebookresearch/Ego4d/issues/158). ``out_of_order: refuse`` leaves
  such recordings out, and ``clock_sync`` measures the disagreement.
- Repeated stamps (``imu_rows_repeated``): the first row is kept.

``bad_windows`` names a JSON file of bad stretches, [[video_uid, start, end], ...] in seconds. IMU2CLIP publishes
two (https://github.com/facebookresearch/imu2clip, ``dataset/ego4d/bad_imu_windows_5.0.json``). Samples in such
stretches are dropped (``imu_rows_in_bad_windows``).

Checked on a fixture made from the published description and its sample, not on the publisher's files. The names of the
clips' fields (``clip_uid``, ``video_uid``, ``video_start_sec``, ``video_end_sec``) could not be looked up; a file
without them is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.bounds import read_json
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
_OUTSIDE_S = 1.0  # samples this far beyond the video's ends are kept: the sensor may run a little longer
_LONGEST_S = 86400.0  # length of a video if the metadata lack it
_BREAK_S = 0.1  # a packet ends at a longer gap


@dataclass
class Ego4dParams:
    """Settings of Ego4D."""

    root: str = "../ego4d_data"
    subjects: list[str] = field(default_factory=list)  # fb_participant_id; empty takes all
    videos: str = "auto"  # "video_540ss", "full_scale", "clips", or "auto": the first existing folder of the first two
    out_of_order: str = "sort"  # or "refuse": leave out recordings whose stamps step back
    bad_windows: str = ""  # a JSON file with [video_uid, start_s, end_s] of stretches to drop
    video_fit: str = "crop"  # "crop", "pad" or "squash", see formats.video.VideoFile


@dataclass(frozen=True)
class _Video:
    """Metadata of a video or clip: the video's uid, and start and end of the MP4 within the video, seconds."""

    uid: str
    subject: str
    start: float
    end: float
    device: str
    scenarios: str


@source("ego4d", Ego4dParams)
class Ego4d(Source):
    """One recording per video (or clip) with both MP4 and IMU; IMU and camera are ``head``.

    Raises:
        ValueError: a setting has an unknown value.
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
        """List the uids of videos (or clips) that have an IMU file and an MP4, in natural order.

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
        """Return the subject's number.

        Raises:
            RecordingError: the metadata lack the video.
        """
        return self._known(name).subject

    def load(self, name: str) -> Recording:
        """Load one video's samples.

        Raises:
            RecordingError: a file is missing or malformed; the message names file and line.
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
            raise RecordingError(f"{self._metadata_file()}: no video or clip '{name}'")
        return videos[name]

    def _metadata_file(self) -> Path:
        for path in (self.root / "ego4d.json", self._data() / "ego4d.json", self._data().parent / "ego4d.json"):
            if path.is_file():
                return path
        raise RecordingError(f"{self.root.absolute()}: no ego4d.json; expected it there (--metadata of the download)")

    def _metadata(self) -> dict[str, _Video]:
        if self._videos is None:
            path = self._metadata_file()
            try:
                content = read_json(path)
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
                    for uid, start, end in read_json(path):
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
    """Read times (N,) in seconds, strictly ascending, values (N, 6), and the counts of each fault."""
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
    """Choose and order samples so that their times ascend.

    A packet ends where a stamp steps back, or forward by more than 0.1 s. Packets are sorted by time. A sample is
    dropped if another packet also covers its time.

    Args:
        times: (N,) seconds, in the order of the file.

    Returns:
        (M,) positions of the kept samples, and the counts of steps back, ambiguous samples and repeated samples.
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
