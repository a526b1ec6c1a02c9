"""A pretrained encoder in a program of your own: arrays in any unit and at any rate, features with times.

Run it with a run's folder: `python examples/encoder_as_a_library.py runs/simulator/default`. Without one it takes the
encoder that comes with the package.
"""

import sys

import numpy as np

from encoders import load_imu_encoder


def features(path: str, recording: np.ndarray, rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """Encode a recording, window by window.

    Args:
        path: a run's folder, a checkpoint, or a head's folder.
        recording: (N, 6) acceleration in g, with gravity, and angular rate in deg/s; (N, 3) without a gyroscope.
        rate_hz: samples a second.

    Returns:
        Begin and end of each window (W, 2) in seconds, and its features (W, P).
    """
    encoder = load_imu_encoder(path)
    found = encoder.embed(recording, rate_hz=rate_hz, acceleration_unit="g", gyroscope_unit="deg/s")
    for left_out in found.left_out:
        print(f"left out: {left_out.start_s:.1f} s, {left_out.reason.value}: {left_out.detail}")
    return np.stack([found.starts, found.ends], axis=1), found.pooled


if __name__ == "__main__":
    # A made-up minute at 100 Hz: at rest but for noise, with half a second lost.
    made = np.random.default_rng(0).normal(0, 0.02, (6000, 6)) + np.array([0, 0, 1, 0, 0, 0])
    made[2000:2050] = np.nan
    times, pooled = features(sys.argv[1] if len(sys.argv) > 1 else "default", made, 100)
    print(f"{len(times)} windows, {pooled.shape[1]} features each; the first from {times[0, 0]:g} to {times[0, 1]:g} s")
