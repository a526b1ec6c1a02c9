"""A study as a clinic might have it, made by the simulator: CSV, MP4 and label files of three patients."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pandas as pd

from datamodules.recording import Recording, VideoStream
from datamodules.signal import DEGREE, G
from datamodules.sources.simulator import Simulator, SimulatorParams

MANIFEST = """
name: made
simulated: true
groups:
  clinic:
    imu:
      - files: imu/{subject}_{session}.csv
        time: {column: time_ms, unit: ms}
        sensors:
          head:
            acceleration: {columns: [ax, ay, az], unit: g}
            gyroscope: {columns: [gx, gy, gz], unit: deg/s}
    labels: {files: "labels/{subject}_{session}.csv"}
"""


def simulate(patients: int, seconds: float, frame_rate: float = 10.0, cameras: tuple[str, ...] = ()) -> list[Recording]:
    """One recording a patient; clocks agree."""
    params = SimulatorParams(
        seed=3, population="parkinson", subjects=patients, sessions_per_subject=1, session_s=seconds,
        placements=["head"], cameras=list(cameras), frame_rate_hz=frame_rate, max_clock_offset_s=0.0,
    )  # fmt: skip
    return list(Simulator(params))


def write_study(folder: Path, recordings: list[Recording], size: int = 128) -> None:
    """``imu/P01_1.csv`` in ms, g and deg/s, ``labels/P01_1.csv`` in seconds, ``video/P01_1.mp4`` where there is one."""
    for name in ("imu", "labels", "video"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number, recording in enumerate(recordings, 1):
        name = f"P{number:02d}_1"
        (stream,) = recording.imus
        columns = {"time_ms": np.round(stream.times * 1000, 3)}
        scales = [G] * 3 + [DEGREE] * 3
        for i, axis in enumerate(("ax", "ay", "az", "gx", "gy", "gz")):
            columns[axis] = np.round(stream.values[:, i] / scales[i], 5)
        pd.DataFrame(columns).to_csv(folder / "imu" / f"{name}.csv", index=False)
        rows = [(round(i.start, 3), round(i.end, 3), i.activity) for i in recording.activities]
        pd.DataFrame(rows, columns=["start", "end", "activity"]).to_csv(folder / "labels" / f"{name}.csv", index=False)
        for video in recording.videos:
            write_video(folder / "video" / f"{name}.mp4", video, size)


def write_video(path: Path, video: VideoStream, size: int) -> None:
    """The frames as H.264, at their mean rate."""
    times = video.frame_times()
    rate = (times.size - 1) / (times[-1] - times[0])
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24",
        "-s", f"{size}x{size}", "-r", f"{rate:.6f}", "-i", "-", "-c:v", "libx264", "-threads", "1",
        "-pix_fmt", "yuv420p", str(path),
    ]  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        for frame in video.read(np.arange(times.size), size, size):
            process.stdin.write(frame.tobytes())
        process.stdin.close()
        assert process.wait() == 0
