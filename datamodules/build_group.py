"""One group of recordings -> its shard; what a worker of ``build`` does."""

from __future__ import annotations

import dataclasses
import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
import torch

from datamodules.checks import check_recording
from datamodules.quality.facts import RecordingFacts, facts_of
from datamodules.quality.judge import judge_pictures
from datamodules.recording import Recording, RecordingError, VideoStream
from datamodules.shards import layout
from datamodules.shards.layout import ShardError
from datamodules.shards.shard_file import open_shard
from datamodules.shards.writer import EncodedWindow, ShardHeader, write_shard
from datamodules.sources.registry import Source, sources
from datamodules.windows import Exclusion, Reason, Window, WindowSettings, cut_windows, select_imu


@dataclass(frozen=True)
class BuildPlan:
    """Everything that a worker has to know.

    Attributes:
        directory: where the shards go.
        description: all that the windows depend on, as plain values.
        settings: the window settings in it.
        raise_bad: stop at a recording that can't be used instead of listing it.
        groups: names of the recordings, group by group.
    """

    directory: Path
    description: dict[str, Any]
    settings: WindowSettings
    raise_bad: bool
    groups: tuple[tuple[str, ...], ...]

    def group_hash(self, group: int) -> str:
        """Digest of all that the bytes of this group's shards depend on."""
        return layout.digest_of([self.description, self.groups[group], group])

    @cached_property
    def index_description(self) -> dict[str, Any]:
        """The description with a digest of the recordings' names: a source may have grown."""
        return {**self.description, "recordings_digest": layout.digest_of(self.groups)}

    @property
    def index_hash(self) -> str:
        """Digest of ``index_description``."""
        return layout.digest_of(self.index_description)

    def note(self, group: int) -> Path:
        """File with the recording that is being read, for the message if the worker dies."""
        return self.directory / f"{layout.TEMPORARY}reading-{group:05d}"

    def at_work(self) -> list[str]:
        """Recordings that were being read when their worker died."""
        return [p.read_text(encoding="utf-8") for p in sorted(self.directory.glob(self.note(0).name[:-5] + "*"))]


def make_source(name: str, params: Mapping[str, Any]) -> Source:
    """A source from plain values, as they stand in a config.

    Raises:
        ValueError: there is no such source, or it has no such setting; the message lists those there are.
    """
    known = sources()
    if name not in known:
        raise ValueError(f"no source '{name}'; there are: {', '.join(known)}")
    fields = [field.name for field in dataclasses.fields(known[name].params)]
    unknown = sorted(set(params) - set(fields))
    if unknown:
        raise ValueError(f"source {name} has no setting '{unknown[0]}'; it has: {', '.join(fields)}")
    return known[name].create(known[name].params(**params))


def start_worker() -> None:
    """Make a fresh worker process a good neighbour."""
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        # A worker whose parent was killed would wait for work for ever.
        sentinel = parent.sentinel
        threading.Thread(target=_die_with, args=(sentinel,), daemon=True).start()


def _die_with(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)


def group_files(plan: BuildPlan, group: int) -> list[Path] | None:
    """The whole shards of a group in order, or None if one is missing, broken or of other settings."""
    files: list[Path] = []
    while True:
        path = plan.directory / layout.shard_name(group, len(files))
        if not path.is_file():
            return None
        try:
            attributes = open_shard(path).attributes
        except ShardError:
            return None
        if attributes["build_hash"] != plan.group_hash(group):
            return None
        files.append(path)
        if attributes["last_part"]:
            return files


def build_group(plan: BuildPlan, group: int) -> None:
    """Write the shards of one group.

    Raises:
        RecordingError: a recording can't be used and ``plan.raise_bad`` is set.
    """
    source = make_source(plan.description["source"], plan.description["params"])
    limit = int(plan.description["max_shard_bytes"])
    parts: int = 0
    windows: list[EncodedWindow] = []
    exclusions: list[Exclusion] = []
    facts: list[RecordingFacts] = []
    size, simulated = 0, False

    def flush(last: bool) -> None:
        nonlocal parts, size
        header = ShardHeader(
            plan.settings,
            str(plan.description["source"]),
            simulated,
            plan.group_hash(group),
            group,
            parts,
            last,
        )
        write_shard(plan.directory / layout.shard_name(group, parts), header, windows, exclusions, facts)
        windows.clear()
        exclusions.clear()
        facts.clear()
        parts, size = parts + 1, 0

    note = plan.note(group)
    try:
        for name in plan.groups[group]:
            note.write_text(name, encoding="utf-8")
            encoded, left_out, known, is_simulated = _encode_recording(plan, source, name)
            simulated |= is_simulated
            for window in encoded:
                if windows and size + window.nbytes > limit:
                    flush(last=False)
                windows.append(window)
                size += window.nbytes
            exclusions += left_out
            facts += known
        flush(last=True)
    finally:
        note.unlink(missing_ok=True)


def _encode_recording(
    plan: BuildPlan, source: Source, name: str
) -> tuple[list[EncodedWindow], list[Exclusion], list[RecordingFacts], bool]:
    """All windows of one recording with their frames; one that can't be used gives one exclusion."""
    try:
        recording = source.load(name)
        wanted = plan.description["subjects"]
        if wanted and recording.subject not in wanted:
            return [], [], [], False
        check_recording(recording)
        camera = str(plan.description["camera"])
        placement = str(plan.description["placement"])
        windows, exclusions = cut_windows(recording, placement, camera, plan.settings)
        facts = facts_of(recording, select_imu(recording, placement), camera, plan.settings)
        encoded = _encode_windows(recording, windows, camera, plan.settings)
        if camera and encoded:
            encoded, bad_pictures = judge_pictures(encoded, recording.video(camera).origin, plan.settings)
            exclusions += bad_pictures
    except RecordingError as error:
        if plan.raise_bad:
            raise
        return [], [Exclusion(name, 0.0, Reason.UNUSABLE, str(error))], [], False
    return encoded, exclusions, [facts], recording.simulated


def _encode_windows(
    recording: Recording, windows: list[Window], camera: str, settings: WindowSettings
) -> list[EncodedWindow]:
    if not camera or not windows:
        return [EncodedWindow(window, ()) for window in windows]
    needed = np.unique(np.concatenate([window.frame_indices for window in windows]))
    needed = needed[needed >= 0]
    jpegs = dict(_jpegs(recording.video(camera), needed, settings))
    return [
        EncodedWindow(window, tuple(jpegs[i] if i >= 0 else b"" for i in window.frame_indices.tolist()))
        for window in windows
    ]


def _jpegs(
    video: VideoStream, indices: np.ndarray[Any, np.dtype[np.int64]], settings: WindowSettings
) -> Iterator[tuple[int, bytes]]:
    size = settings.frame_size
    count = 0
    for index, frame in zip(indices.tolist(), video.read(indices, size, size), strict=False):
        if frame.shape != (size, size, 3) or frame.dtype != np.uint8:
            raise RecordingError(
                f"{video.origin}: frame {index} is {frame.dtype} {frame.shape}; expected uint8 {(size, size, 3)}"
            )
        pixels = np.ascontiguousarray(frame)
        quality = settings.jpeg_quality
        yield index, simplejpeg.encode_jpeg(pixels, quality, "RGB", "420") if quality else pixels.tobytes()
        count += 1
    if count != indices.size:
        raise RecordingError(f"{video.origin}: {count} of {indices.size} frames could be read")
