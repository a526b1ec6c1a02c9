"""Choice of the decoder of a file: decord where the file's structure proves that it is exact, else PyAV.

decord counts frames from the key frame that it jumps to, as if the order of decoding were the order of showing there,
and knows nothing of frames that an edit list hides. So it is exact where no picture that follows a key frame in the
file is shown before it (closed groups of pictures), where every key frame is one that decoding may start from, and
where all frames are shown. Here the tables of the container and the first bytes of its key frames tell; nothing is
decoded.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from datamodules.formats import mp4
from datamodules.formats.video import display
from datamodules.formats.video.contract import Backend
from datamodules.formats.video.decord_reader import DecordReader
from datamodules.formats.video.pyav_reader import PyAvReader
from datamodules.recording import RecordingError

_H264, _HEVC = ("avc1",), ("hvc1", "hev1")


def open_video(path: Path) -> tuple[Backend, str]:
    """Open a file with decord if its structure is proven, else with PyAV; also says why.

    Raises:
        RecordingError: the file is damaged, or neither can open it.
    """
    movie = mp4.read_movie(path)
    if movie is not None:
        mp4.check_counts(path, movie)
    proven = _Proof(path, movie)
    if not proven.doubt:
        try:
            reader = DecordReader(path, proven.times, proven.keys, proven.stated_s)
            return reader, "closed groups of pictures, all frames shown"
        except (RecordingError, ValueError) as error:
            proven.doubt = str(error).removeprefix(f"{path}: ")
    exact = PyAvReader(path, movie)
    return exact, f"{exact.kind}, {proven.doubt}"


class _Proof:
    """What the container says of a file's frames, and the first reason to doubt decord; empty if there is none."""

    def __init__(self, path: Path, movie: mp4.Movie | None) -> None:
        self.times = np.zeros(0)
        self.keys = np.zeros(0, np.int64)
        self.stated_s: float | None = None
        self.doubt = self._of_movie(path, movie)

    def _of_movie(self, path: Path, movie: mp4.Movie | None) -> str:
        if movie is None:
            return "neither MP4 nor MOV"
        videos = movie.videos()
        if len(videos) != 1:
            return f"{len(videos)} video tracks"
        if movie.fragmented:
            return "a fragmented MP4"
        (track,) = videos
        if track.coding not in (*_H264, *_HEVC) or track.descriptions != 1:
            return f"a codec other than H.264 and HEVC (its code is '{track.coding}')"
        if display.quarter_turns(track.matrix) is None:
            return "pictures that are mirrored, or turned by other than quarters"
        samples = mp4.read_samples(path, track)
        if not samples.sizes.size or not samples.sizes.all():
            return "an empty sample"
        self.stated_s = mp4.end_to_reach(path, track)
        self.keys = samples.keys
        self.times = np.sort(samples.shown) / track.time_scale + track.zero_s
        return _of_edits(track, samples) or _of_order(track, samples) or _of_key_frames(path, track, samples)


def _of_edits(track: mp4.Track, samples: mp4.Samples) -> str:
    if not track.edits:
        return ""
    if len(track.edits) > 1 or track.edits[0].empty or track.edits[0].rate != 1:
        return "an edit list that starts it late, or shows it in parts"
    (edit,) = track.edits
    end = edit.media_time + edit.duration * track.time_scale / track.movie_scale
    if samples.shown.min() != edit.media_time or samples.shown.max() >= end:
        return "an edit list that hides frames"
    return ""


def _of_order(track: mp4.Track, samples: mp4.Samples) -> str:
    shown, keys = samples.shown, samples.keys
    if (np.diff(np.sort(shown)) <= 0).any():
        return "two frames at the same time"
    if not keys.size or keys[0] != 0:
        return "a first frame that is no key frame"
    at = shown[keys]
    earliest_after = np.minimum.accumulate(shown[::-1])[::-1][keys]
    open_keys = np.flatnonzero(earliest_after < at)
    if open_keys.size:
        when = at[open_keys[0]] / track.time_scale + track.zero_s
        return f"open groups of pictures (frames after the key frame at {when:.2f} s are shown before it)"
    return ""


def _of_key_frames(path: Path, track: mp4.Track, samples: mp4.Samples) -> str:
    h264 = track.coding in _H264
    setup = track.part_of_entry(b"avcC" if h264 else b"hvcC")
    length_at = 4 if h264 else 21
    if len(setup) <= length_at:
        return "a codec that is not described"
    units = mp4.first_units(path, track, samples, (setup[length_at] & 3) + 1)
    for key, heads in zip(samples.keys.tolist(), units, strict=True):
        # Of H.264 unit types 1 to 5 are pictures, and 5 starts anew; of HEVC 0 to 31, and 19 and 20.
        kinds = (head & 31 if h264 else head >> 1 & 63 for head in heads)
        first = next((kind for kind in kinds if (1 <= kind <= 5 if h264 else kind < 32)), None)
        if first not in ((5,) if h264 else (19, 20)):
            when = samples.shown[key] / track.time_scale + track.zero_s
            return f"key frames where decoding can't start anew (at {when:.2f} s, picture type {first})"
    return ""
