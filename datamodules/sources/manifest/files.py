"""The files of each recording of a group, and the files that belong to no recording."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.suggestions import did_you_mean
from datamodules.formats.tsdf import companions
from datamodules.labels.natural_order import natural_key
from datamodules.recording import RecordingError
from datamodules.sources.manifest.details import Details
from datamodules.sources.manifest.errors import ManifestError
from datamodules.sources.manifest.labels import Owner
from datamodules.sources.manifest.motion import count_parts
from datamodules.sources.manifest.patterns import Found, Pattern, check_template, fill_template
from datamodules.sources.manifest.spec import GroupSpec, ImuSpec
from datamodules.sources.manifest.spelling import composed

PART = "part"  # the group of a logger's start within a file
_LISTED = 5


@dataclass(frozen=True)
class RecordingFiles:
    """What a recording is made of, before any file is opened.

    Attributes:
        name, subject, population: of the recording.
        group: key of its group.
        imu: the first entry's file.
        groups: what the pattern's groups stand for.
        values: these, and its row of the details.
        files: of the first entry, one behind the other.
        part: which start of the logger within them, from 1.
        parts: how often it was started.
        chunks: what tells the files apart that are one recording, in their order.
    """

    name: str
    subject: str
    population: str
    group: str
    imu: Path
    groups: dict[str, str]
    values: dict[str, str]
    files: tuple[Path, ...]
    part: int = 1
    parts: int = 1
    chunks: tuple[str, ...] = ()


class GroupFiles:
    """The files of one group of a manifest.

    Raises:
        ManifestError: a pattern or template makes no sense, or nothing matches the first pattern.
    """

    def __init__(self, name: str, spec: GroupSpec, folder: Path, manifest: Path) -> None:
        """``folder`` is what patterns are relative to; ``manifest`` is for messages."""
        self.name, self.spec = name, spec
        self._where = f"{manifest}: groups.{name}"
        where = self._where
        self.imu = [Pattern(imu.files, folder, f"{where}.imu.{i}.files") for i, imu in enumerate(spec.imu)]
        self.videos = [Pattern(video.files, folder, f"{where}.videos.{i}.files") for i, video in enumerate(spec.videos)]
        files = spec.labels.files if spec.labels is not None else ""
        self.labels = Pattern(files, folder, f"{where}.labels.files") if files else None
        first = spec.imu[0]
        self.groups = tuple(group for group in self.imu[0].groups if group != first.concat)
        for pattern, imu in zip(self.imu, spec.imu, strict=True):
            if imu.concat and imu.concat not in pattern.groups:
                raise ManifestError(
                    f"{pattern.where.removesuffix('files')}concat: '{{{imu.concat}}}' is no group of '{imu.files}'"
                    f"{did_you_mean(imu.concat, pattern.groups)} (there: {', '.join(pattern.groups)})"
                )
        if first.time.restarts == "parts":
            self.groups = (*self.groups, PART)
        for pattern in self._others():
            concat = next((imu.concat for p, imu in zip(self.imu, spec.imu, strict=True) if p is pattern), "")
            if unknown := [group for group in pattern.groups if group not in self.groups and group != concat]:
                raise ManifestError(
                    f"{pattern.where}: '{{{unknown[0]}}}' is no group of the IMU files "
                    f"'{self.imu[0].text}'{did_you_mean(unknown[0], self.groups)} (there: {', '.join(self.groups)})"
                )
        details = spec.details
        self.details = Details(folder / details.file, details, self.groups) if details is not None else None
        known = (*self.groups, *(self.details.columns if self.details else ()))
        for key in ("recording", "subject", "population", "zero", "imu_clock_offset_s"):
            check_template(str(getattr(spec, key)), known, f"{where}.{key}")
        if spec.labels is not None and not files and spec.labels.column is None:
            check_template(str(spec.labels.activity), known, f"{where}.labels.activity")
        for i, video in enumerate(spec.videos):
            check_template(str(video.start_s), known, f"{where}.videos.{i}.start_s")

    def recordings(self) -> list[RecordingFiles]:
        """One for each file that the first entry of ``imu`` matches.

        Raises:
            ManifestError: nothing matches, or a name can't be told.
        """
        found = self.imu[0].find()
        if not found:
            raise ManifestError(f"{self.imu[0].where}: no file matches '{self.imu[0].text}'{self._nearest()}")
        recordings = []
        people = {composed(name): person for name, person in self.spec.people.items()}
        for groups, files, part, parts, chunks in self._starts(found):
            values = dict(groups) | (self.details.of(groups) if self.details else {})
            name = fill_template(self.spec.recording, values) if self.spec.recording else "_".join(groups.values())
            subject = composed(fill_template(self.spec.subject, values))
            subject = composed(people.get(subject, subject))
            population = fill_template(self.spec.population, values).strip()
            for key, value in (("recording", name), ("subject", subject), ("population", population)):
                if not value:
                    raise ManifestError(f"{self._where}.{key}: it is blank for {files[0]}; expected a name")
            recordings.append(
                RecordingFiles(
                    name, subject, population, self.name, files[0], groups, values, files, part, parts, chunks
                )
            )
        return recordings

    def _starts(
        self, found: list[Found]
    ) -> Iterator[tuple[dict[str, str], tuple[Path, ...], int, int, tuple[str, ...]]]:
        """Groups, files, part, parts and chunks of each recording; files are joined, or taken apart, as declared."""
        first = self.spec.imu[0]
        together: dict[tuple[str, ...], list[Found]] = {}
        for file in found:
            key = tuple(value for name, value in file.groups.items() if name != first.concat)
            together.setdefault(key if first.concat else (str(file.path),), []).append(file)
        for files in together.values():
            if first.concat:
                files.sort(key=lambda file: natural_key(file.groups[first.concat]))
            groups = {name: value for name, value in files[0].groups.items() if name != first.concat}
            paths = tuple(file.path for file in files)
            chunks = tuple(file.groups[first.concat] for file in files) if first.concat else ()
            if first.time.restarts != "parts":
                yield groups, paths, 1, 1, chunks
                continue
            try:
                parts = count_parts(paths, first)
            except RecordingError:
                parts = 1  # what is wrong with it is said when it is loaded
            for part in range(1, parts + 1):
                yield groups | {PART: str(part)}, paths, part, parts, chunks

    def others(self, recording: RecordingFiles) -> tuple[list[tuple[Path, ...] | None], list[Path | None], Path | None]:
        """The recording's files of each entry of ``imu``, of each camera, and of the labels; None if it lacks one.

        Raises:
            RecordingError: one is missing that isn't optional, or there are several.
        """
        imu: list[tuple[Path, ...] | None] = [recording.files]
        _check_chunks(recording, recording.chunks, recording.files, self.spec.imu[0])
        for pattern, entry in zip(self.imu[1:], self.spec.imu[1:], strict=True):
            if entry.concat:
                several = pattern.fill(recording.groups).find()
                several.sort(key=lambda file: natural_key(file.groups[entry.concat]))
                if several:
                    chunks, paths = [f.groups[entry.concat] for f in several], [f.path for f in several]
                    _check_chunks(recording, chunks, paths, entry)
                    imu.append(tuple(file.path for file in several))
                    continue
            one = _one(pattern, recording, entry.optional, "the motion data")
            imu.append((one,) if one is not None else None)
        if recording.parts > 1:
            self._check_parts(recording)
        videos = [
            _one(pattern, recording, entry.optional, f"the video of camera '{entry.camera}'")
            for pattern, entry in zip(self.videos, self.spec.videos, strict=True)
        ]
        labels = self.spec.labels
        table = _one(self.labels, recording, labels.optional, "the labels") if self.labels and labels else None
        return imu, videos, table

    def owner(self, recording: RecordingFiles, recordings: list[RecordingFiles]) -> Owner:
        """What tells a recording's rows from those of others in a table of labels; ``recordings`` are the group's."""
        there = self.labels.groups if self.labels is not None else ()
        mine = {name: composed(value) for name, value in recording.groups.items() if name not in there}
        sharing = [r for r in recordings if all(r.groups[name] == recording.groups[name] for name in there)]
        known = {name: frozenset(composed(r.groups[name]) for r in sharing) for name in mine}
        # Recordings of one person may have one table with times of the IMU's clock: each has the labels of its own.
        by_clock = self.spec.labels is not None and self.spec.labels.clock == "imu"
        shared = 1 if by_clock and len({r.subject for r in sharing}) == 1 else len(sharing)
        return Owner(mine, shared, len(sharing) == 1, known if sharing[:1] == [recording] else {})

    def orphans(self, recordings: list[RecordingFiles]) -> list[Path]:
        """Files of videos, labels and further sensors that belong to no recording."""
        orphans = []
        for pattern in self._others():
            used = {file.path for recording in recordings for file in pattern.fill(recording.groups).find()}
            orphans += [file.path for file in pattern.find() if file.path not in used]
        return orphans

    def check_orphans(self, recordings: list[RecordingFiles]) -> None:
        """Raise a ManifestError that lists them, unless the manifest allows them."""
        if self.spec.orphans == "allow":
            return
        if orphans := self.orphans(recordings):
            more = f" and {len(orphans) - _LISTED} more" if len(orphans) > _LISTED else ""
            raise ManifestError(
                f"{self._where}: {len(orphans)} files belong to no IMU file '{self.imu[0].text}': "
                f"{', '.join(map(str, orphans[:_LISTED]))}{more}; if that is right, set 'orphans: allow'"
            )

    def _check_parts(self, recording: RecordingFiles) -> None:
        """Raise a RecordingError where a video or table of labels may be of another start of the logger."""
        for pattern in (*self.videos, *([self.labels] if self.labels else [])):
            if PART not in pattern.groups:
                raise RecordingError(
                    f"recording {recording.name} ({recording.imu}): the logger was started {recording.parts} times in "
                    f"this file, and '{pattern.text}' doesn't say of which start it is; expected {{{PART}}} in its name"
                )

    def matched(self, recordings: list[RecordingFiles]) -> set[Path]:
        """Files that some pattern of the group matches, what TSDF metadata name, and the table of details."""
        used = {path for recording in recordings for path in recording.files}
        for pattern in self._others():
            used |= {file.path for file in pattern.find()}
        if self.details is not None:
            used.add(self.details.path)
        for path in [path for path in used if path.suffix.lower() == ".json"]:
            used |= companions(path)
        return used

    def folders(self) -> set[Path]:
        """Folders below which the group's files are."""
        return {pattern.deepest_folder() for pattern in (self.imu[0], *self._others())}

    def _others(self) -> Iterator[Pattern]:
        yield from self.imu[1:]
        yield from self.videos
        if self.labels:
            yield self.labels

    def _nearest(self) -> str:
        """How far the pattern leads, for the message."""
        folder = self.imu[0].deepest_folder()
        try:
            names = sorted(entry.name for entry in folder.iterdir())
        except OSError as error:
            return f"; the folder {folder} can't be listed: {error.strerror}"
        listed = ", ".join(names[:_LISTED]) + (f", ... ({len(names)} entries)" if len(names) > _LISTED else "")
        return f"; in {folder} there is: {listed or 'nothing'}"


def _check_chunks(recording: RecordingFiles, chunks: Sequence[str], paths: Sequence[Path], entry: ImuSpec) -> None:
    """Refuse a gap in the numbers of files that are one recording, where no stamps would show what is missing."""
    if entry.time.column is not None or len(chunks) < 2 or not all(chunk.isdecimal() for chunk in chunks):
        return
    numbers = [int(chunk) for chunk in chunks]
    missing = sorted(set(range(numbers[0], numbers[-1] + 1)) - set(numbers)) if numbers[-1] < numbers[0] + 1e6 else []
    if not 0 < len(missing) <= len(numbers):  # dates are numbers, too, with months between them
        return
    at = next(i for i, number in enumerate(numbers) if number > missing[0])
    raise RecordingError(
        f"recording {recording.name}: concat: {paths[at]} follows {paths[at - 1].name}: of the numbers from "
        f"{numbers[0]} to {numbers[-1]}, {len(missing)} {'is' if len(missing) == 1 else 'are'} missing, the first is "
        f"{missing[0]}; by a rate, what follows would come too early: expected all files, a column of times, or "
        "numbers without a gap"
    )


def _one(pattern: Pattern, recording: RecordingFiles, optional: bool, what: str) -> Path | None:
    filled = pattern.fill(recording.groups)
    found = [file.path for file in filled.find()]
    if len(found) > 1:
        listed = ", ".join(path.name for path in found[:_LISTED])
        raise RecordingError(
            f"recording {recording.name} ({recording.imu}): {what} matches {len(found)} files: {listed}; expected one"
        )
    if not found and not optional:
        raise RecordingError(
            f"recording {recording.name} ({recording.imu}): {what} is missing; expected {filled.folder / filled.text} "
            f"(if some recordings have none, set 'optional: true' beside '{pattern.text}')"
        )
    return found[0] if found else None
