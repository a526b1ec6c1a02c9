"""Conversion of one recording into windows with encoded frames, which is most of the work of a build."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from datamodules.build import origins
from datamodules.build.parts import ShardParts
from datamodules.build.picture_rules import apply_picture_rules
from datamodules.build.stages import StageTimes
from datamodules.clock_sync.apply_offset import apply_offset
from datamodules.privacy.source import SourceInputs
from datamodules.recording import RecordingError, VideoStream
from datamodules.shards.writer import EncodedWindow
from datamodules.sources.registry import Source
from datamodules.windows.checks import check_recording
from datamodules.windows.cut import Window, WindowSettings, cut_windows, select_imu
from datamodules.windows.quality.facts import collect_facts

_CHUNK = 64  # windows checked by the picture rules at a time


@dataclass(frozen=True)
class BuildJob:
    """The settings of a build that every worker needs.

    Attributes:
        directory: folder of the shards.
        description: all inputs of the build that the windows depend on, as plain values that may be written down.
        settings: the window settings of ``description``.
        raise_bad: True stops at an unusable recording; False lists it among the exclusions.
        token: identifier of this run of the build.
        inputs: what the source is made of; its settings may hold names that the description hides.
    """

    directory: Path
    description: dict[str, Any]
    settings: WindowSettings
    raise_bad: bool
    token: str
    inputs: SourceInputs


def encode_recording(job: BuildJob, source: Source, name: str, parts: ShardParts, stages: StageTimes) -> None:
    """Add all windows of one recording, with their frames, and its exclusions and facts to ``parts``.

    The sensor's windows are all in memory; frames are decoded while their windows are written.

    Raises:
        RecordingError: the recording is unusable; some of its windows may have been written.
    """
    with stages.timed("load"):
        recording = source.load(name)
        origins.note(job.directory, name, recording, source)
    wanted = job.description["subjects"]
    if wanted and recording.subject not in wanted:
        return
    parts.simulated |= recording.simulated
    with stages.timed("check"):
        check_recording(recording)
    camera, placement = str(job.description["camera"]), str(job.description["placement"])
    with stages.timed("clocks"):
        recording, left_out = apply_offset(recording, placement, camera, str(job.description.get("clocks", "off")))
    with stages.timed("quality"):  # before the cut, so that its memory does not add to the windows'
        facts = collect_facts(recording, select_imu(recording, placement), camera, job.settings)
    with stages.timed("cut"):
        windows, exclusions = cut_windows(recording, placement, camera, job.settings)
    if left_out is not None:
        windows, exclusions = [], [left_out]
    video = recording.video(camera) if camera and windows else None
    del recording  # frees its samples, the largest object here
    parts.exclusions += exclusions
    if video is None:
        for window in windows:
            parts.add(EncodedWindow(window, ()))
    else:
        encoded = with_frames(windows, video, job.settings, stages)
        while chunk := list(itertools.islice(encoded, _CHUNK)):
            with stages.timed("quality"):
                kept, bad_pictures = apply_picture_rules(chunk, video.origin, job.settings)
            parts.exclusions += bad_pictures
            for one in kept:
                parts.add(one)
    parts.facts.append(facts)


def with_frames(
    windows: Sequence[Window], video: VideoStream, settings: WindowSettings, stages: StageTimes
) -> Iterator[EncodedWindow]:
    """Yield the windows of one recording with their frames; each frame is decoded once.

    Args:
        windows: in the order of their starts.
        video: video of the frames.
        settings: size and quality of the frames.
        stages: receives the time of decoding and encoding.

    Raises:
        RecordingError: a frame can't be decoded.
    """
    needed = np.unique(np.concatenate([window.frame_indices for window in windows]))
    coming = _jpegs(video, needed[needed >= 0], settings, stages)
    held: dict[int, bytes] = {}
    for window in windows:
        indices = window.frame_indices.tolist()
        shown = [index for index in indices if index >= 0]
        if shown:
            held = {index: jpeg for index, jpeg in held.items() if index >= shown[0]}
        for wanted in shown:
            while wanted not in held:
                index, jpeg = next(coming)
                held[index] = jpeg
        yield EncodedWindow(window, tuple(held[index] if index >= 0 else b"" for index in indices))


def _jpegs(
    video: VideoStream, indices: NDArray[np.int64], settings: WindowSettings, stages: StageTimes
) -> Iterator[tuple[int, bytes]]:
    size, quality = settings.frame_size, settings.jpeg_quality
    count = 0
    frames = stages.each("decode", video.read(indices, size, size))
    for index, frame in zip(indices.tolist(), frames, strict=False):
        if frame.shape != (size, size, 3) or frame.dtype != np.uint8:
            raise RecordingError(
                f"{video.origin}: frame {index} is {frame.dtype} {frame.shape}; expected uint8 {(size, size, 3)}"
            )
        with stages.timed("encode"):
            pixels = np.ascontiguousarray(frame)
            stored = simplejpeg.encode_jpeg(pixels, quality, "RGB", "420") if quality else pixels.tobytes()
        yield index, stored
        count += 1
    if count != indices.size:
        raise RecordingError(f"{video.origin}: only {count} of {indices.size} frames could be read")
