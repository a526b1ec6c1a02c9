"""Motion signals of camera and sensor, on one common grid of times and with the same filters.

Shape legend: F frames, B = F - 1 pairs of frames, M samples of the sensor, N samples of the grid, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from datamodules import signal
from datamodules.clock_sync import body_motion, picture_flow
from datamodules.clock_sync.correlation import Signal
from datamodules.recording import FloatArray, FrameArray, ImuStream, VideoStream
from datamodules.signal import BoolArray

RATE_HZ = 100.0
MAX_GAP_S = 0.15  # longest gap of frames or samples to interpolate over
# Both filters keep frequencies from about 0.3 to 6 Hz. Slower is gravity and drift; faster is noise, and too fast for
# 30 frames a second.
_SMOOTH_S, _LEVEL_S = 0.02, 0.7
_GREY = np.array([0.299, 0.587, 0.114], np.float32)
_CHUNK = 16


@dataclass(frozen=True)
class SeenMotion:
    """Motion in a video.

    Attributes:
        times: (B,) seconds, half-way between the frames of a pair.
        flow: (B, C) flow of each block of the picture, pixels per second, see ``picture_flow.trusted_flow``.
        speed: (B,) speed of the motion besides the camera's own, pixels per second, see ``body_motion``.
    """

    times: FloatArray
    flow: FloatArray
    speed: FloatArray


def measure_video(video: VideoStream, frame_times: FloatArray, indices: NDArray[np.int64]) -> SeenMotion:
    """Decode frames in one pass and measure the motion between neighbours.

    Args:
        video: the video.
        frame_times: times of all its frames, seconds.
        indices: (F,) frames to use, ascending; pairs that are too far apart in time give NaN.

    Raises:
        RecordingError: a frame can't be decoded.
    """
    times = frame_times[indices]
    parts: list[tuple[FloatArray, FloatArray]] = []
    spectra: picture_flow.ComplexArray | None = None
    chunk: list[picture_flow.GreyImages] = []
    for frame in video.read(indices, picture_flow.SIDE, picture_flow.SIDE):
        chunk.append(_grey(frame))
        if len(chunk) > _CHUNK:
            flow, speed, spectra = _pairs(chunk, spectra)
            parts.append((flow, speed))
            chunk = chunk[-1:]
    if len(chunk) > 1:
        parts.append(_pairs(chunk, spectra)[:2])
    steps = np.diff(times)
    if not parts:
        width = 2 * len(picture_flow.CENTRES)
        return SeenMotion(np.empty(0), np.empty((0, width)), np.empty(0))
    flow, speed = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    apart = steps > MAX_GAP_S
    flow[apart], speed[apart] = np.nan, np.nan
    return SeenMotion((times[1:] + times[:-1]) / 2, flow / steps[:, None], speed / steps)


def _grey(frame: FrameArray) -> picture_flow.GreyImages:
    return np.asarray(frame.astype(np.float32) @ _GREY, dtype=np.float32)


def _pairs(
    chunk: Sequence[picture_flow.GreyImages], first: picture_flow.ComplexArray | None
) -> tuple[FloatArray, FloatArray, picture_flow.ComplexArray]:
    """Compute flow and speed between neighbours, and the last frame's spectra, which the next chunk starts with."""
    images = np.stack(chunk)
    if first is None:
        first = picture_flow.block_spectra(images[:1])
    spectra = np.concatenate([first, picture_flow.block_spectra(images[1:])])
    shifts, peaks = picture_flow.block_shifts(spectra[:-1], spectra[1:])
    motion = picture_flow.fit_motion(shifts, peaks)
    flow = picture_flow.trusted_flow(shifts, peaks, motion)
    return flow, body_motion.residual_speed(images[:-1], images[1:], motion), spectra[-1:]


def angular_and_linear_velocity(stream: ImuStream) -> FloatArray:
    """Compute angular velocity (if there is a gyroscope) and velocity, (M, 6 or 3), which make a picture flow.

    The velocity is the summed acceleration. Its slow drift does not matter, since the filters keep only fast changes.
    """
    acceleration = _fill_lost(stream.values[:, :3])
    steps = np.minimum(np.diff(stream.times, prepend=stream.times[0]), MAX_GAP_S)
    velocity = np.cumsum((acceleration - acceleration.mean(axis=0)) * steps[:, None], axis=0)
    return np.concatenate([stream.values[:, 3:], velocity], axis=1) if has_gyroscope(stream) else velocity


def amount_of_motion(stream: ImuStream) -> FloatArray:
    """Compute the norm of the angular velocity, or without a gyroscope the norm of the changing acceleration.

    The acceleration is the poorer measure, and adds nothing to the angular velocity: it peaks before the speed does.

    Returns:
        (M, 1)
    """
    if has_gyroscope(stream):
        return np.asarray(np.linalg.norm(stream.values[:, 3:], axis=1, keepdims=True))
    acceleration = _fill_lost(stream.values[:, :3])
    period = float(np.median(np.diff(stream.times))) if stream.times.size > 1 else 1.0
    change = acceleration - gaussian_filter1d(acceleration, 0.5 / period, axis=0, mode="nearest")
    return np.asarray(np.linalg.norm(change, axis=1, keepdims=True))


def has_gyroscope(stream: ImuStream) -> bool:
    """Return True if any sample has all three angular velocities."""
    return bool(np.isfinite(stream.values[:, 3:]).all(axis=1).any())


def lost_samples(stream: ImuStream) -> BoolArray:
    """Mark the samples (M,) with NaN in a channel that the device has."""
    channels = slice(0, 6 if has_gyroscope(stream) else 3)
    return np.asarray(np.isnan(stream.values[:, channels]).any(axis=1))


def on_grid(times: FloatArray, values: FloatArray, grid: FloatArray) -> Signal:
    """Resample by time stamps without bridging gaps, smooth, and remove the slow level.

    Args:
        times: ascending seconds.
        values: (len(times), C), NaN where nothing is known.
        grid: (N,) seconds, ``RATE_HZ``.
    """
    resampled, valid = signal.resample(times, values, grid, RATE_HZ, MAX_GAP_S)
    smooth = _local_mean(resampled, valid, _SMOOTH_S)
    return Signal(np.where(valid[:, None], smooth - _local_mean(smooth, valid, _LEVEL_S), 0.0), valid)


def _local_mean(values: FloatArray, valid: BoolArray, deviation_s: float) -> FloatArray:
    """Compute a running Gaussian mean over the valid samples."""
    sigma = deviation_s * RATE_HZ
    weight = gaussian_filter1d(valid.astype(np.float64), sigma, mode="constant")
    total = gaussian_filter1d(np.where(valid[:, None], values, 0.0), sigma, axis=0, mode="constant")
    return np.where(valid[:, None], total / np.maximum(weight, 1e-9)[:, None], 0.0)


def _fill_lost(acceleration: FloatArray) -> FloatArray:
    """Replace lost samples by the mean, so that cumulative sums stay finite; these samples are masked later."""
    known = np.asarray(np.isfinite(acceleration).all(axis=1))
    mean = acceleration[known].mean(axis=0) if known.any() else np.zeros(3)
    return np.where(known[:, None], acceleration, mean)
