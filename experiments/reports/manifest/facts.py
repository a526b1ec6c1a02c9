"""Figures of one recording: its sensors, labels and cameras."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from datamodules.formats.video import VideoFile
from datamodules.recording import FloatArray, Interval, Recording, RecordingError
from datamodules.windows.checks import check_recording
from datamodules.windows.cut import cut_windows
from datamodules.windows.settings import Reason, WindowSettings
from experiments.reports.manifest.copies import Marks, marks_of
from experiments.reports.manifest.label_lag import LabelLag, measure_label_lag
from experiments.reports.manifest.motion_facts import MotionFacts, measure_motion


@dataclass(frozen=True)
class VideoFacts:
    """One camera; times in seconds on the recording's clock, ``error`` instead where it can't be read."""

    camera: str
    error: str = ""
    frames: int = 0
    first_s: float = 0.0
    last_s: float = 0.0
    rate_hz: float = 0.0
    longest_gap_s: float = 0.0
    overlap_s: float = 0.0
    decoder: str = ""


@dataclass(frozen=True)
class WindowCounts:
    """Windows of one sensor: activity ("" for none) -> how many are kept; reason -> how many are left out."""

    placement: str
    kept: dict[str, int]
    left_out: dict[str, int]


@dataclass(frozen=True)
class RecordingFacts:
    """One recording.

    Attributes:
        name, subject, group: of it.
        error: why it can't be used; the rest is empty then.
        sensors: in the manifest's order.
        videos: likewise.
        start_s, end_s: of the motion data on the video's clock (known offset added).
        seconds: activity -> labelled seconds within the motion data.
        intervals: activity -> how many.
        outside_s: labelled seconds beyond the motion data.
        doubly_s: seconds with two activities.
        label_span_s: from the first label's start to the last one's end.
        repeated: samples left out because their stamp was there before.
        not_worn_s: seconds that the manifest leaves out as not worn.
        notes: what was left out or put right when the files were read.
        windows: of each sensor, by the experiment's settings.
        label_lag: of the labels behind the first sensor's motion; None if it can't be told.
        marks: of the first sensor's samples, by which copies are found.
    """

    name: str
    subject: str
    group: str
    error: str = ""
    sensors: tuple[MotionFacts, ...] = ()
    videos: tuple[VideoFacts, ...] = ()
    start_s: float = 0.0
    end_s: float = 0.0
    seconds: dict[str, float] | None = None
    intervals: dict[str, int] | None = None
    outside_s: float = 0.0
    doubly_s: float = 0.0
    label_span_s: float = 0.0
    repeated: int = 0
    not_worn_s: float = 0.0
    notes: tuple[str, ...] = ()
    windows: tuple[WindowCounts, ...] = ()
    label_lag: LabelLag | None = None
    marks: Marks = field(default_factory=lambda: np.empty(0, np.uint64), compare=False, repr=False)

    @property
    def length_s(self) -> float:
        """Of the motion data."""
        return self.end_s - self.start_s


def measure(recording: Recording, group: str, settings: WindowSettings | None = None) -> RecordingFacts:
    """Measure a recording; reads the videos' time stamps but none of their frames.

    Args:
        recording: whatever the manifest made.
        group: of the manifest.
        settings: how an experiment cuts windows; None for the defaults.
    """
    settings = replace(settings or WindowSettings(), frames=0)
    try:
        check_recording(recording)
    except RecordingError as error:
        return RecordingFacts(recording.name, recording.subject, group, error=str(error))
    offset = recording.imu_clock_offset_s
    start = float(min(s.times[0] for s in recording.imus)) + offset
    end = float(max(s.times[-1] for s in recording.imus)) + offset
    seconds, outside, doubly = _labelled(recording.activities, start, end)
    return RecordingFacts(
        name=recording.name,
        subject=recording.subject,
        group=group,
        sensors=tuple(measure_motion(stream, settings) for stream in recording.imus),
        videos=tuple(_measure_video(recording, i, start, end) for i in range(len(recording.videos))),
        start_s=start,
        end_s=end,
        seconds=seconds,
        intervals=dict(Counter(interval.activity for interval in recording.activities)),
        outside_s=outside,
        doubly_s=doubly,
        label_span_s=max((i.end for i in recording.activities), default=0.0)
        - min((i.start for i in recording.activities), default=0.0),
        repeated=int(recording.metadata.get("repeated_stamps", 0)),
        not_worn_s=float(recording.metadata.get("non_wear_dropped_s", 0.0)),
        notes=tuple(str(recording.metadata.get("import_notes", "")).splitlines()),
        label_lag=measure_label_lag(recording.imus[0], recording.activities, offset),
        marks=marks_of(recording.imus[0].values),
        windows=tuple(_count_windows(recording, stream.placement, settings) for stream in recording.imus),
    )


def _count_windows(recording: Recording, placement: str, settings: WindowSettings) -> WindowCounts:
    """By the very code that the build cuts with."""
    windows, exclusions = cut_windows(recording, placement, None, settings)
    reasons = Counter(e.reason.value for e in exclusions if e.reason is not Reason.REMAINDER)
    return WindowCounts(placement, dict(Counter(window.activity for window in windows)), dict(reasons))


def _labelled(intervals: tuple[Interval, ...], start: float, end: float) -> tuple[dict[str, float], float, float]:
    """Seconds by activity inside, seconds outside, and seconds with more than one activity."""
    seconds: dict[str, float] = {}
    outside = 0.0
    events: list[tuple[float, int]] = []
    for interval in dict.fromkeys(intervals):  # a label that is there twice is one
        inside = max(0.0, min(end, interval.end) - max(start, interval.start))
        seconds[interval.activity] = seconds.get(interval.activity, 0.0) + inside
        outside += interval.end - interval.start - inside
        events += [(interval.start, 1), (interval.end, -1)]
    doubly, running, before = 0.0, 0, 0.0
    for time, change in sorted(events):
        doubly += (time - before) * (running > 1)
        running, before = running + change, time
    return seconds, outside, doubly


def _measure_video(recording: Recording, index: int, start: float, end: float) -> VideoFacts:
    video = recording.videos[index]
    try:
        times: FloatArray = video.frame_times()
    except RecordingError as error:
        return VideoFacts(video.camera, error=str(error))
    steps = np.diff(times)
    step = float(np.median(steps)) if steps.size else 0.0
    return VideoFacts(
        camera=video.camera,
        frames=times.size,
        first_s=float(times[0]),
        last_s=float(times[-1]) + step,
        rate_hz=1 / step if step else 0.0,
        longest_gap_s=float(steps.max(initial=0.0)),
        overlap_s=max(0.0, min(end, float(times[-1]) + step) - max(start, float(times[0]))),
        decoder=f"{video.decoder} ({video.decoder_reason})" if isinstance(video, VideoFile) else "",
    )
