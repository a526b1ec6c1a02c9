"""Features of a motion recording that lies in an array: resample, cut, normalise, encode. Run it with a checkpoint."""

import sys

import numpy as np
import torch

from datamodules.signal import normalise, resample
from encoders.contract import ImuFeatures
from lightning_modules.pretraining import ImuPretraining


def encode(checkpoint: str, times: np.ndarray, recording: np.ndarray) -> ImuFeatures:
    """Encode windows, one after the other.

    Args:
        checkpoint: path of a checkpoint of ``experiments.pretrain``.
        times: (N,) seconds, at any rate.
        recording: (N, 6) acceleration in m/s^2 with gravity, angular rate in rad/s, in the sensor's own axes.
    """
    model = ImuPretraining.load_pretrained(checkpoint)
    length, rate_hz = model.settings.imu_input["samples"], model.settings.imu_input["rate_hz"]
    # To the rate that the encoder was trained at, without aliasing; then windows of its length.
    grid = np.arange(times[0], times[-1], 1 / rate_hz)
    values, valid = resample(times, recording, grid, rate_hz, max_gap_s=0.1)
    count = len(grid) // length
    windows = values[: count * length].reshape(count, length, 6)
    sample_mask = valid[: count * length].reshape(count, length)
    channel_mask = np.ones((count, 6), dtype=bool)  # False in the last three where the device has no gyroscope
    imu = normalise(windows, sample_mask, channel_mask, model.settings.normalisation)
    with torch.inference_mode():
        features: ImuFeatures = model.imu_encoder(*(torch.from_numpy(a) for a in (imu, channel_mask, sample_mask)))
    return features


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: python {sys.argv[0]} runs/simulator/default/checkpoints/last.ckpt")
    seconds = np.arange(6000) / 100.0  # a made-up minute at 100 Hz, at rest but for noise
    made = np.random.default_rng(0).normal(0, 0.5, (6000, 6)) + np.array([0, 0, 9.81, 0, 0, 0])
    features = encode(sys.argv[1], seconds, made)
    print(f"pooled {tuple(features.pooled.shape)}, tokens {tuple(features.tokens.shape)}")
    print(f"the first tokens are centred at {[round(t, 3) for t in features.token_times[:4].tolist()]} s of the window")
