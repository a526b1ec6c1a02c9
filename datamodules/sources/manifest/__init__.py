"""A study of one's own: a YAML file says where its recordings are and what their columns mean.

::

    groups:
      clinic:
        imu:
          - files: imu/{subject}_{session}.csv
            time: {column: time_ms, unit: ms}
            sensors:
              right_wrist:
                acceleration: {columns: [ax, ay, az], unit: g}
                gyroscope: {columns: [gx, gy, gz], unit: deg/s}
        videos: [{files: "video/{subject}_{session}.mp4", camera: phone}]
        labels: {files: "labels/{subject}_{session}.csv"}

``docs/guides/your-data.md`` explains every key; ``python -m experiments.check_import FILE`` says what was understood
and whether it can be right. Nothing is guessed: what the manifest doesn't say, or a file doesn't keep to, is an error
that names file, line and column.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from datamodules.formats.video import VideoFile
from datamodules.recording import FloatArray, ImuStream, Interval, Recording, RecordingError
from datamodules.sources.manifest import units
from datamodules.sources.manifest.columns import NoRowsError
from datamodules.sources.manifest.errors import ManifestError
from datamodules.sources.manifest.files import GroupFiles, RecordingFiles
from datamodules.sources.manifest.joined import join_streams
from datamodules.sources.manifest.label_days import on_day_of
from datamodules.sources.manifest.labels import LabelFacts, intervals_of_samples, label_of_names, read_intervals
from datamodules.sources.manifest.motion import read_motion
from datamodules.sources.manifest.patterns import fill_template
from datamodules.sources.manifest.plain_values import build, read_yaml
from datamodules.sources.manifest.spec import FIRST_SAMPLE, STAMPS, GroupSpec, ManifestSpec
from datamodules.sources.manifest.spec_checks import check_manifest
from datamodules.sources.manifest.spelling import check_spelling
from datamodules.sources.manifest.stamps.text_times import TimeTextError
from datamodules.sources.manifest.wear import as_worn
from datamodules.sources.registry import Source, source
from datamodules.sources.shared.held import without_held
from datamodules.sources.shared.interpolated import interpolation_notes

__all__ = ["Manifest", "ManifestError", "ManifestParams"]


@dataclass
class ManifestParams:
    """Settings of a study of one's own."""

    path: str = "manifest.yaml"  # of the manifest; what it names is relative to its folder


@source("manifest", ManifestParams)
class Manifest(Source):
    """Recordings as a manifest describes them.

    Raises:
        ManifestError: the manifest isn't there or makes no sense; the message names the key.
    """

    def __init__(self, params: ManifestParams) -> None:
        self.path = Path(params.path)
        self.spec = build(ManifestSpec, read_yaml(self.path), self.path)
        check_manifest(self.spec, str(self.path))
        folder = self.path.parent
        self.groups = {name: GroupFiles(name, group, folder, self.path) for name, group in self.spec.groups.items()}

    @cached_property
    def recordings(self) -> dict[str, RecordingFiles]:
        """All recordings by name, before their files are opened.

        Raises:
            ManifestError: a pattern matches nothing, two recordings have one name, or a person has two.
        """
        found: dict[str, RecordingFiles] = {}
        for group in self.groups.values():
            for recording in group.recordings():
                other = found.setdefault(recording.name, recording)
                if other is not recording:
                    raise ManifestError(
                        f"{self.path}: groups.{group.name}.recording: {other.imu} and {recording.imu} are both named "
                        f"'{recording.name}'; expected a template that tells them apart, e.g. '{{subject}}_{{session}}'"
                    )
        check_spelling([(r.subject, f"groups.{r.group}", r.imu) for r in found.values()], self.path)
        return found

    def names(self) -> list[str]:
        """Group by group, by path.

        Raises:
            ManifestError: see ``recordings``; or files of videos, labels or sensors belong to no recording.
        """
        for group in self.groups.values():
            group.check_orphans([r for r in self.recordings.values() if r.group == group.name])
        return list(self.recordings)

    def subject_of(self, name: str) -> str:
        """As the manifest says."""
        return self._files(name).subject

    def fingerprint(self) -> str:
        """Digest of the manifest and its tables of details: other units make other shards."""
        digest = hashlib.sha256(self.path.read_bytes())
        for group in self.groups.values():
            if group.details is not None:
                digest.update(group.details.path.read_bytes())
        return digest.hexdigest()

    def files(self, name: str) -> list[Path]:
        """List all files of a recording: every part of the motion, videos, labels."""
        files = self._files(name)
        imu_files, video_files, label_file = self.groups[files.group].others(files)
        parts = [path for paths in imu_files for path in paths or ()]
        return [*parts, *(path for path in (*video_files, label_file) if path is not None)]

    def load(self, name: str) -> Recording:
        """Load one recording.

        Raises:
            RecordingError: a file is missing or isn't what the manifest says; the message names file, line and column.
        """
        files = self._files(name)
        group = self.groups[files.group]
        spec = group.spec
        imu_files, video_files, label_file = group.others(files)
        labels = spec.labels
        offset = self._number(files, "imu_clock_offset_s", spec.imu_clock_offset_s)
        streams: list[ImuStream] = []
        notes: list[str] = []
        activities: list[Interval] = []
        labelled_on: tuple[str, ...] = ()
        zero, repeated = 0.0, 0
        offsets: set[bool] = set()
        for i, (paths, imu) in enumerate(zip(imu_files, spec.imu, strict=True)):
            if paths is None:
                continue
            part = files.part if imu.time.restarts == "parts" else 1
            column = labels.column if labels is not None and i == 0 else None
            try:
                motion = read_motion(paths, imu, column, part, published=False)
            except NoRowsError as error:
                if imu.optional:
                    continue
                hint = f"; if some recordings have none, set 'optional: true' at groups.{files.group}.imu.{i}"
                raise NoRowsError(f"{error}{hint if i else ''}") from error
            repeated += motion.repeated.size
            notes += [f"{paths[0].name}: {note}" if len(spec.imu) > 1 else note for note in motion.notes]
            if i == 0:
                zero, offsets = self._zero(files, spec, motion.times), set(motion.offsets)
            streams += motion.streams(imu, paths[0], zero)
            if motion.label_codes is not None and labels is not None:
                activities = intervals_of_samples(
                    motion.times, motion.label_codes, motion.label_names, labels, paths[0]
                )
                activities = _shifted(activities, offset - zero)
                labelled_on = tuple(stream.placement for stream in streams)
        interpolated = interpolation_notes(streams)
        streams, joined = join_streams(streams, files.name)
        notes += [*interpolated, *joined]
        streams, held = without_held(streams)
        notes += held
        sensors = {p: s for imu in spec.imu for p, s in imu.sensors.items() if s.acceleration is not None}
        streams, worn, not_worn_s = as_worn(streams, sensors)
        notes += worn
        if label_file is not None and labels is not None:
            said = LabelFacts()
            owner = group.owner(files, [r for r in self.recordings.values() if r.group == files.group])
            activities = read_intervals(label_file, labels, said, owner)
            notes += said.notes
            _check_zones(files.imu, label_file, offsets, said.offsets, spec)
            if labels.clock == "imu":
                time = spec.imu[0].time
                activities, day = on_day_of(activities, labels, time, zero, streams, label_file, said.two_parts)
                notes += day
                activities = _shifted(activities, offset - zero)
                labelled_on = tuple(stream.placement for stream in streams)
            _check_overlap(activities, streams, offset, label_file)
        elif labels is not None and labels.column is None and not labels.files:
            text = fill_template(str(labels.activity), files.values)
            activity = label_of_names(text, labels, f"{files.imu}, recording {files.name}")
            activities = _whole(activity, streams, offset) if activity else []
            labelled_on = tuple(stream.placement for stream in streams)
        videos = tuple(
            VideoFile(path, video.camera, self._number(files, f"videos.{i}.start_s", video.start_s), fit=video.fit)
            for i, (path, video) in enumerate(zip(video_files, spec.videos, strict=True))
            if path is not None
        )
        for video in videos:
            if not video.path.is_file():
                raise RecordingError(f"{video.path}: the video file is not there")
        metadata: dict[str, str | float | int | bool] = dict(files.values)
        if repeated:
            metadata["repeated_stamps"] = repeated
        if not_worn_s:
            metadata["non_wear_dropped_s"] = not_worn_s
        if notes:
            metadata["import_notes"] = "\n".join(notes)
        return Recording(
            name=files.name,
            subject=files.subject,
            imus=tuple(streams),
            videos=videos,
            activities=tuple(activities),
            population=files.population,
            source=self.spec.name or self.path.stem,
            imu_clock_offset_s=offset,
            simulated=self.spec.simulated,
            metadata=metadata,
            labelled_on=labelled_on,
        )

    def _files(self, name: str) -> RecordingFiles:
        if name not in self.recordings:
            known = list(self.recordings)
            raise RecordingError(
                f"{self.path}: no recording '{name}'; there are {len(known)}: {known[0]} to {known[-1]}"
            )
        return self.recordings[name]

    def _number(self, files: RecordingFiles, key: str, value: str | float) -> float:
        """A number, or the text of a template that must be one."""
        text = fill_template(value, files.values) if isinstance(value, str) else value
        try:
            number = float(text)
        except (ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise ManifestError(
                f"{self.path}: groups.{files.group}.{key}: it is '{text}' for recording {files.name}; "
                "expected a number of seconds"
            )
        return number

    def _zero(self, files: RecordingFiles, spec: GroupSpec, times: FloatArray) -> float:
        """What the stamps show at the recording's time 0, seconds."""
        if spec.zero == STAMPS:
            return 0.0
        if spec.zero == FIRST_SAMPLE:
            return float(times[0])
        time = spec.imu[0].time
        text, unit = fill_template(str(spec.zero), files.values), time.unit or f"'{time.format}'"
        try:
            return units.read_time(text, time)
        except TimeTextError as error:
            raise ManifestError(
                f"{self.path}: groups.{files.group}.zero: it is '{text}' for recording {files.name}; expected "
                f"'{STAMPS}', '{FIRST_SAMPLE}', or a stamp in {unit}"
            ) from error


def _shifted(intervals: list[Interval], by_s: float) -> list[Interval]:
    return [Interval(i.start + by_s, i.end + by_s, i.activity) for i in intervals] if by_s else intervals


def _whole(activity: str, streams: list[ImuStream], offset: float) -> list[Interval]:
    """One label from the first sample to where the one behind the last would be."""
    begin = min(float(s.times[0]) for s in streams)
    end = max(float(s.times[-1] + np.median(np.diff(s.times))) for s in streams)
    return [Interval(begin + offset, end + offset, activity)]


def _check_zones(imu: Path, labels: Path, of_imu: set[bool], of_labels: set[bool], spec: GroupSpec) -> None:
    """Stamps that say their offset from UTC and labels that don't, or the other way round, may be hours apart."""
    assert spec.labels is not None
    if not of_imu or not of_labels or spec.labels.clock != "imu":
        return
    without, key, zone = (labels, "labels.zone", spec.labels.zone)
    if of_imu == {False}:
        without, key, zone = (imu, "time.zone", spec.imu[0].time.zone)
    if of_imu != of_labels and not zone:
        other = imu if without is labels else labels
        raise RecordingError(
            f"{without}: its times have no offset from UTC, those of {other} have one, or count from 1970 (UTC): "
            f"nothing says how they fit; expected {key}, the zone that they were written in, e.g. Europe/Berlin or UTC"
        )


def _check_overlap(activities: list[Interval], streams: list[ImuStream], offset: float, path: Path) -> None:
    """Labels of which none lies within the recording are on another clock."""
    if not activities:
        return
    first, last = (min(s.times[0] for s in streams) + offset, max(s.times[-1] for s in streams) + offset)
    if not any(i.start < last and i.end > first for i in activities):
        raise RecordingError(
            f"{path}: no label lies within the recording: they reach from {min(i.start for i in activities):.2f} to "
            f"{max(i.end for i in activities):.2f} s, the IMU measured from {first:.2f} to {last:.2f} s; "
            "expected one clock (see labels.clock, labels.unit and zero)"
        )
