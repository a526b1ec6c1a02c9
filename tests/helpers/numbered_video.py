"""Videos whose every frame carries its number, and the frames and times that ffmpeg presents of any file."""

from __future__ import annotations

import itertools
import re
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np

BITS = 12
WIDTH, HEIGHT = 96, 64
TICKS = 24_000  # a second, as numbers of a hundred different rates divide it

H264 = ("libx264", "-preset", "ultrafast", "-bf", "2", "-threads", "1")
LIBVPX = ("-deadline", "realtime", "-cpu-used", "8", "-b:v", "1M")
CODECS = {
    "h264": (*H264, "-pix_fmt", "yuv420p"),
    "h264_10": (*H264, "-pix_fmt", "yuv420p10le"),
    "hevc": ("libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p"),
    "hevc_10": ("libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le"),
    "vp8": (
        "libvpx",
        "-deadline",
        "realtime",
        "-cpu-used",
        "8",
        "-b:v",
        "1M",
        "-auto-alt-ref",
        "1",
        "-lag-in-frames",
        "8",
    ),
    "vp9": ("libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "1M"),
    "av1": ("libsvtav1", "-preset", "13", "-crf", "30"),
    "mpeg2": ("mpeg2video", "-q:v", "2"),
    "mpeg4": ("mpeg4", "-q:v", "2"),
    "mjpeg": ("mjpeg", "-q:v", "3", "-pix_fmt", "yuvj420p"),
    "prores": ("prores_ks",),
}


@dataclass(frozen=True)
class Presented:
    """What ffmpeg presents of a file: times (N,) seconds on the container's clock, pictures (N, H, W, 3)."""

    times: np.ndarray
    pictures: np.ndarray

    @property
    def numbers(self) -> list[int]:
        """The number that each picture carries."""
        return [number(picture) for picture in self.pictures]


def ffmpeg(*arguments: object, given: bytes | None = None) -> bytes:
    """Run ffmpeg; what it writes to its standard output."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-nostats", "-loglevel", "error", *map(str, arguments)]
    run = subprocess.run(command, input=given, capture_output=True, check=False)
    assert run.returncode == 0, f"{' '.join(command)}: {run.stderr.decode(errors='replace')}"
    return run.stdout


def painted(numbers: range) -> np.ndarray:
    """Grey frames (N, HEIGHT, WIDTH): the number's bits above, bit 0 at the left; below, bright at the left alone."""
    bits = (np.array(numbers)[:, None] >> np.arange(BITS)) & 1
    frames = np.full((len(numbers), HEIGHT, WIDTH), 16, np.uint8)
    frames[:, : HEIGHT // 2] = np.repeat(16 + 219 * bits, WIDTH // BITS, axis=1)[:, None, :]
    frames[:, HEIGHT // 2 :, : WIDTH // 2] = 180
    return frames


def number(picture: np.ndarray, turned: int = 0) -> int:
    """The number that a picture (H, W, 3) carries; ``turned``: by how many degrees anticlockwise it is shown."""
    upright = np.rot90(picture, -turned // 90)
    height, width = upright.shape[:2]
    edges = np.linspace(0, width, BITS + 1)
    bits = [
        upright[height // 12 : height // 3, int(a + (b - a) * 0.3) : int(a + (b - a) * 0.7) + 1].mean() > 118
        for a, b in itertools.pairwise(edges)
    ]
    return sum(1 << i for i, bit in enumerate(bits) if bit)


def numbered(
    path: Path,
    frames: int = 60,
    codec: str = "h264",
    gop: int = 12,
    rate: Fraction | int = 30,
    filters: str = "",
    options: tuple[object, ...] = (),
) -> Path:
    """Write a video whose frame i carries i; ``filters`` may drop frames or change their times."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ffmpeg(
        "-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{WIDTH}x{HEIGHT}", "-r", rate, "-i", "-",
        *(("-vf", filters) if filters else ()), "-fps_mode", "passthrough", "-g", gop,
        "-c:v", *CODECS[codec], *options, path, given=painted(range(frames)).tobytes(),
    )  # fmt: skip
    return path


def presented(path: Path) -> Presented:
    """What ffmpeg presents, at the times that it presents it; nothing where it can't."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostats", "-copyts", "-i", str(path)]
    command += ["-fps_mode", "passthrough", "-vf", "showinfo", "-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
    run = subprocess.run(command, capture_output=True, check=False)
    said = run.stderr.decode(errors="replace")
    base = re.search(r"config in time_base: (\d+)/(\d+)", said)
    size = re.search(r" s:(\d+)x(\d+) ", said)
    if not base or not size:
        return Presented(np.zeros(0), np.zeros((0, HEIGHT, WIDTH, 3), np.uint8))
    stamps = [int(stamp) for stamp in re.findall(r"\] n: *\d+ pts: *(-?\d+) ", said)]
    pictures = np.frombuffer(run.stdout, np.uint8).reshape(-1, int(size[2]), int(size[1]), 3)
    assert len(pictures) == len(stamps)
    return Presented(np.array(stamps, np.float64) * int(base[1]) / int(base[2]), pictures)
