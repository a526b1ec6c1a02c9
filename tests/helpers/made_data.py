"""Small recordings made on the spot, in the formats of real ones."""

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from scipy.io import savemat


def make_video(
    path: Path, seconds: float = 4.0, rate: int = 25, size: str = "160x120", options: tuple[str, ...] = ()
) -> Path:
    """An MP4 whose every frame differs from the one before (a test picture with a running clock)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [
            imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error",
            "-f", "lavfi", "-i", f"testsrc=size={size}:rate={rate}:duration={seconds}",
            "-c:v", "libx264", "-threads", "1", "-g", "25", "-pix_fmt", "yuv420p", *options, str(path),
        ],
        check=True,
    )  # fmt: skip
    return path


def make_utd_trial(root: Path, name: str, seconds: float = 4.0, seed: int = 0) -> None:
    """A trial as UTD-MHAD has it: inertial values in g and deg/s at 50 Hz, and a video as long."""
    rng = np.random.default_rng(seed)
    n = round(seconds * 50)
    values = rng.normal(scale=[0.1] * 3 + [20.0] * 3, size=(n, 6)) + np.array([0, 0, 1, 0, 0, 0])
    (root / "inertial").mkdir(parents=True, exist_ok=True)
    savemat(root / "inertial" / f"{name}_inertial.mat", {"d_iner": values})
    make_video(root / "depth_mp4" / f"{name}.mp4", seconds)
