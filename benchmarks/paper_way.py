"""Reading as the paper's method is usually written: for every window, its whole recording is filtered and standardised.

    python -m benchmarks.paper_way FOLDER

A map-style ``Dataset`` loads the recording's IMU (ten minutes, one ``.npy``), runs a median filter with a kernel of 5
over it, standardises it over the recording, and cuts out the window. With video, it also opens the recording's MP4 and
decodes ten frames, a random one from each tenth of the window (Cheshmi et al. 2025, preprocessing). The MP4 already has
the size that the encoder needs, so this way is spared the scaling.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import decord
import imageio_ffmpeg
import numpy as np
import torch
from scipy.ndimage import median_filter
from torch.utils.data import DataLoader, Dataset

from benchmarks.data import SAMPLES, WINDOWS_A_RECORDING, made_images
from benchmarks.peers.protocol import BATCH, FRAMES, SIZE, serve

FOLDER = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()
FPS, VIDEO_WINDOWS = 30, 24  # two minutes of video, in place of each recording's ten


def make(folder: Path) -> None:
    """Make whole recordings from the plain arrays, and one video; at most 100 recordings, which are read again."""
    target = folder / "recordings"
    if (target / "video.mp4").is_file():
        return
    target.mkdir(parents=True, exist_ok=True)
    windows = np.load(folder / "imu-imu.npy", mmap_mode="r")
    for n in range(min(100, len(windows) // WINDOWS_A_RECORDING)):
        part = windows[n * WINDOWS_A_RECORDING : (n + 1) * WINDOWS_A_RECORDING]
        np.save(target / f"{n:03d}.npy", part.reshape(-1, 6))
    large = np.tile(np.concatenate(list(made_images(np.random.default_rng(1), 4)), axis=1), (2, 1, 1))
    writer = imageio_ffmpeg.write_frames(str(target / "part.mp4"), (SIZE, SIZE), fps=FPS, quality=7)
    writer.send(None)
    for k in range(VIDEO_WINDOWS * 5 * FPS):
        x, y = int(300 + 250 * np.sin(k / 97)), int(100 + 90 * np.sin(k / 61))
        writer.send(np.ascontiguousarray(large[y : y + SIZE, x : x + SIZE]))
    writer.close()
    (target / "part.mp4").rename(target / "video.mp4")


class Windows(Dataset[dict[str, Any]]):
    """A dataset with one window per item; nothing is kept between items."""

    def __init__(self, folder: Path, video: bool) -> None:
        self.recordings = sorted((folder / "recordings").glob("*.npy"))
        self.video = folder / "recordings" / "video.mp4" if video else None

    def __len__(self) -> int:
        return len(self.recordings) * WINDOWS_A_RECORDING

    def __getitem__(self, i: int) -> dict[str, Any]:
        recording, window = divmod(i, WINDOWS_A_RECORDING)
        values = median_filter(np.load(self.recordings[recording]), size=(5, 1))
        values = (values - values.mean(axis=0)) / values.std(axis=0)
        item: dict[str, Any] = {"imu": values[window * SAMPLES : (window + 1) * SAMPLES]}
        if self.video is not None:
            reader = decord.VideoReader(str(self.video), num_threads=1)
            chunk = 5 * FPS / FRAMES
            first = (window % VIDEO_WINDOWS) * 5 * FPS
            at = first + (np.arange(FRAMES) * chunk + np.random.default_rng(i).random(FRAMES) * chunk).astype(int)
            item["clip"] = reader.get_batch(at).asnumpy()
        return item


def batches(case: str, workers: int) -> Iterable[Any]:
    data = Windows(FOLDER, case in ("jpeg", "raw"))
    return DataLoader(data, BATCH["raw"], shuffle=True, num_workers=workers, drop_last=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    serve(batches)
