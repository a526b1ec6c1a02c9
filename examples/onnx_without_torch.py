"""An exported encoder or head on a device without torch: numpy and onnxruntime alone.

First `python -m experiments.export default --output exported`, then `python examples/onnx_without_torch.py exported`.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime


def run(folder: Path, recording: np.ndarray, rate_hz: float) -> dict[str, np.ndarray]:
    """Run the network on a recording (N, 6) in m/s^2 and rad/s, window by window; returns its outputs by name."""
    said = json.loads((folder / "preprocessing.json").read_text())
    fold = max(1, round(rate_hz / said["rate_hz"]))  # a mean over neighbours keeps what is too fast from aliasing
    smooth = [np.convolve(column, np.ones(fold) / fold, "same") for column in recording.T]
    at = np.arange(0, len(recording) / rate_hz - 1e-9, 1 / said["rate_hz"])
    resampled = np.stack([np.interp(at, np.arange(len(recording)) / rate_hz, column) for column in smooth], axis=1)
    windows = resampled[: len(at) // said["samples"] * said["samples"]].reshape(-1, said["samples"], 6)
    masks = np.ones(windows.shape[::2], bool), np.ones(windows.shape[:2], bool)  # channels, and samples
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    given = {"imu": windows.astype(np.float32), "channel_mask": masks[0], "sample_mask": masks[1]}
    if "handcrafted" in said["inputs"]:  # a head of the method hybrid_logistic
        from datamodules.handcrafted import handcrafted_features  # needs numpy alone

        given["handcrafted"] = handcrafted_features(given["imu"], masks[1], masks[0], said["rate_hz"])
    return dict(zip(said["outputs"], session.run(None, given), strict=True))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: python {sys.argv[0]} EXPORTED  (a folder of python -m experiments.export)")
    made = np.random.default_rng(0).normal(0, 0.2, (6000, 6)) + np.array([0, 0, 9.81, 0, 0, 0])  # a minute at 100 Hz
    for name, values in run(Path(sys.argv[1]), made, 100).items():
        print(f"{name}: {values.shape}")
