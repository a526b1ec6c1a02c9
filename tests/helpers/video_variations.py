"""Variations of a numbered video: codec, groups of pictures, timing, container, rotation, cuts and other tracks."""

from __future__ import annotations

import functools
import itertools
import struct
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from helpers.numbered_video import ffmpeg, numbered

GOP = 12
_X265 = "pools=1:frame-threads=1:log-level=none"
_FINE = ("-enc_time_base", "1:24000")
_CONTAINERS = {
    "h264": ("mp4", "mov", "mkv", "avi", "ts"),
    "h264_10": ("mp4", "mov", "mkv", "ts"),
    "hevc": ("mp4", "mov", "mkv", "ts"),
    "hevc_10": ("mp4", "mov", "mkv", "ts"),
    "vp9": ("mp4", "mkv"),
    "av1": ("mp4", "mkv"),
    "mpeg2": ("mp4", "mov", "mkv", "avi", "ts"),
    "mjpeg": ("mp4", "mov", "mkv", "avi"),
}
_VALUES: dict[str, tuple[Any, ...]] = {
    "codec": tuple(_CONTAINERS),
    "pictures": ("no_b", "closed", "open"),
    "timing": ("constant", "variable", "dropped", "paused", "fast"),
    "container": ("mp4", "mov", "mkv", "avi", "ts"),
    "rotation": (0, 90, 180, 270),
    "cut": ("whole", "start", "end", "both", "hidden_end"),
    "tracks": ("alone", "late", "later", "second", "thumbnail"),
}


@dataclass(frozen=True)
class Variation:
    """One kind of file.

    Attributes:
        codec: a key of ``numbered_video.CODECS``.
        pictures: ``no_b``: none is shown before one that precedes it in the file; ``closed``: not across key
            frames; ``open``: across key frames too.
        timing: of the frames.
        container: the file's ending.
        rotation: how it is to be shown, degrees anticlockwise.
        cut: which part is left, without encoding anew.
        tracks: what else is in the file: sound before a video that starts late, another video, a cover picture.
    """

    codec: str
    pictures: str
    timing: str
    container: str
    rotation: int
    cut: str
    tracks: str

    def __str__(self) -> str:
        return "-".join(str(value) for value in asdict(self).values())

    @property
    def possible(self) -> bool:
        """Whether ffmpeg can write it."""
        boxes = self.container in ("mp4", "mov")
        return (
            self.container in _CONTAINERS[self.codec]
            and (self.pictures == "no_b" or self.codec in ("h264", "h264_10", "hevc", "hevc_10", "mpeg2"))
            and (self.timing not in ("variable", "fast") or self.codec not in ("mpeg2", "mjpeg"))
            and (self.rotation == 0 or boxes or self.container == "mkv")
            and (self.cut != "hidden_end" or boxes)
            and (self.container != "avi" or self.cut in ("whole", "end"))
            and (self.tracks != "thumbnail" or boxes)
        )


def all_variations() -> list[Variation]:
    """Every combination that ffmpeg can write."""
    combinations = (Variation(*values) for values in itertools.product(*_VALUES.values()))
    return [variation for variation in combinations if variation.possible]


def chosen(count: int, seed: int = 0) -> list[Variation]:
    """So many variations that together hold as many pairs of values as possible."""
    rng = np.random.default_rng(seed)
    everything = all_variations()
    seen: set[tuple[object, ...]] = set()
    result = []
    for _ in range(count):
        candidates = [everything[i] for i in rng.integers(0, len(everything), 150)]
        best = max(candidates, key=lambda variation: len(_pairs(variation) - seen))
        seen |= _pairs(best)
        result.append(best)
    return result


def make(variation: Variation, folder: Path) -> Path:
    """Write a file of this kind."""
    v = variation
    options: list[object] = ["-i", _encoded(v.codec, v.pictures, v.timing, folder)]
    turned: list[object] = ["-display_rotation", v.rotation] if v.rotation else []
    options = [*turned, *options]
    if v.tracks in ("late", "later"):
        options = ["-itsoffset", 0.2 if v.tracks == "late" else 0.5, *options]
        options += ["-f", "lavfi", "-i", "anullsrc=duration=2", "-map", "0:v", "-map", "1:a", "-c:a", "aac"]
    elif v.tracks == "second":
        options = [*turned, "-i", _small(folder), *options, "-map", "0:v", "-map", "1:v"]
    elif v.tracks == "thumbnail":
        options += ["-i", _cover(folder), "-map", "0:v", "-map", "1:v", "-disposition:v:1", "attached_pic"]
    if v.container == "avi" and v.codec == "h264":
        options += ["-bsf:v", "h264_mp4toannexb"]
    whole = folder / f"{v}_whole.{v.container}"
    ffmpeg(*options, "-c:v", "copy", whole)
    if v.cut == "whole":
        return whole
    result = folder / f"{v}.{v.container}"
    if v.cut == "hidden_end":
        result.write_bytes(_end_hidden(whole.read_bytes(), 0.7))
        return result
    before = ("-ss", 0.71) if v.cut in ("start", "both") else ()
    after = ("-t", 0.9) if v.cut in ("end", "both") else ()
    cover = ("-disposition:v:1", "attached_pic") if v.tracks == "thumbnail" else ()
    ffmpeg(*before, "-i", whole, *after, "-map", "0", "-c", "copy", *cover, result)
    return result


def _pairs(variation: Variation) -> set[tuple[object, ...]]:
    return set(itertools.combinations(asdict(variation).items(), 2))


@functools.cache
def _encoded(codec: str, pictures: str, timing: str, folder: Path) -> Path:
    kind = codec.split("_")[0]
    options: list[object] = []
    if kind == "h264":
        options = ["-x264-params", f"open-gop={int(pictures == 'open')}:bframes={2 * (pictures != 'no_b')}:b-adapt=0"]
    elif kind == "hevc":
        b_frames = 0 if pictures == "no_b" else 3
        options = ["-x265-params", f"open-gop={int(pictures == 'open')}:bframes={b_frames}:b-adapt=0:{_X265}"]
    elif kind == "mpeg2":
        options = ["-bf", 0 if pictures == "no_b" else 2]
        options += ["-flags", "+cgop", "-sc_threshold", 1_000_000_000] if pictures == "closed" else []
    filters = {
        "constant": "",
        "fast": "",
        "variable": "settb=1/24000,setpts='N*800+240*mod(N,3)'",
        "dropped": "select='mod(n,7)'",
        "paused": "settb=1/24000,setpts='N*800+gte(N,25)*48000'",
    }[timing].replace("mod(n,7)", "mod(n\\,7)")
    if timing in ("variable", "paused") and kind not in ("mpeg2", "mjpeg"):
        options += _FINE
    path = folder / f"{codec}_{pictures}_{timing}.mkv"
    rate = 240 if timing == "fast" else 30
    return numbered(path, 240 if timing == "fast" else 60, codec, GOP, rate, filters, tuple(options))


@functools.cache
def _small(folder: Path) -> Path:
    """A smaller video; ffmpeg shows the larger of two."""
    return numbered(folder / "small.mp4", options=("-vf", "scale=48:32"))


@functools.cache
def _cover(folder: Path) -> Path:
    path = folder / "cover.jpg"
    ffmpeg("-f", "lavfi", "-i", "testsrc=size=320x240:duration=1:rate=1", path)
    return path


def _end_hidden(data: bytes, seconds: float) -> bytes:
    """An MP4 whose first video track is shown for so long; galleries of phones cut like this."""
    changed = bytearray(data)
    (scale,) = struct.unpack_from(">I", data, data.index(b"mvhd") + 16)
    track = data.index(b"trak")
    header, edits = data.index(b"tkhd", track), data.index(b"elst", track)
    (count,) = struct.unpack_from(">I", data, edits + 8)
    struct.pack_into(">I", changed, edits + 12 + 12 * (count - 1), round(seconds * scale))
    struct.pack_into(">I", changed, header + 24, round(seconds * scale))
    return bytes(changed)
