"""Smooth trajectories of a body's channels, composed of events.

Motor behaviour is a sum of overlapping moves with minimum-jerk profiles (Flash and Hogan 1985). Each move changes a
channel's value between two times, with zero velocity and acceleration at both ends, so that a sum of moves has a
continuous acceleration. Impacts and heel strikes are the exception; the final low-pass bounds them, as soft tissue
does.

Shape legend: C channels, N samples.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import gaussian_filter1d

from datamodules.recording import FloatArray
from datamodules.sources.simulator.body import CHANNEL, CHANNEL_NAMES

RATE_HZ = 250.0  # internal rate of the kinematics
MARGIN_S = 0.5  # simulated before the first and after the last sample, for derivatives at the ends
SMOOTHING_S = 0.012  # standard deviation of the final low-pass: its cut-off (-3 dB) is at 11 Hz


def minimum_jerk(u: FloatArray) -> FloatArray:
    """Return 0 to 1 for u from 0 to 1, with zero velocity and acceleration at both ends."""
    return u * u * u * (10.0 + u * (-15.0 + 6.0 * u))


def swing(u: FloatArray) -> FloatArray:
    """Return 0 to 1 like a swinging foot: flatter than ``minimum_jerk``, and still braking at the landing."""
    return 0.6 * u * u * (3.0 - 2.0 * u) + 0.4 * minimum_jerk(u)


class Timeline:
    """Channels over one session, from ``-MARGIN_S`` to ``duration + MARGIN_S`` seconds.

    Events may reach beyond the session's ends; the parts outside are cut.
    """

    def __init__(self, duration_s: float, start: dict[str, float]) -> None:
        count = round((duration_s + 2.0 * MARGIN_S) * RATE_HZ) + 1
        self.duration_s = duration_s
        self._values = np.zeros((len(CHANNEL_NAMES), count))
        self._steps = np.zeros((len(CHANNEL_NAMES), count + 1))
        self._final = np.zeros(len(CHANNEL_NAMES))
        for name, value in start.items():
            self._final[CHANNEL[name]] = value
            self._values[CHANNEL[name]] = value

    def value(self, channel: str) -> float:
        """Return the value of ``channel`` after all moves so far."""
        return float(self._final[CHANNEL[channel]])

    def _slice(self, start: float, end: float) -> tuple[int, int, FloatArray]:
        """Samples of [start, end) and their places in it, 0 to 1."""
        count = self._values.shape[1]
        first = math.ceil((start + MARGIN_S) * RATE_HZ)
        last = max(first, math.ceil((end + MARGIN_S) * RATE_HZ))
        first, last = min(max(first, 0), count), min(max(last, 0), count)
        place = (np.arange(first, last) / RATE_HZ - MARGIN_S - start) / max(end - start, 1e-9)
        return first, last, place

    def move(self, channel: str, start: float, end: float, to: float, profile: str = "minimum_jerk") -> None:
        """Go to ``to`` between ``start`` and ``end``; profiles: ``minimum_jerk``, ``swing``."""
        index = CHANNEL[channel]
        change = to - self._final[index]
        if change == 0.0:
            return
        first, last, u = self._slice(start, end)
        self._values[index, first:last] += change * (minimum_jerk(u) if profile == "minimum_jerk" else swing(u))
        self._steps[index, last] += change
        self._final[index] = to

    def shift(self, channel: str, start: float, end: float, by: float) -> None:
        """Move by ``by``."""
        self.move(channel, start, end, self.value(channel) + by)

    def fall(self, channel: str, start: float, end: float, to: float, cushion_s: float = 0.04) -> None:
        """Accelerate to ``to`` and hit it; the contact gives way by ``cushion_s`` times speed over e."""
        index = CHANNEL[channel]
        change = to - self._final[index]
        first, last, u = self._slice(start, end)
        self._values[index, first:last] += change * u**3
        self._steps[index, last] += change
        self._final[index] = to
        first, last, u = self._slice(end, end + 12.0 * cushion_s)
        after = 12.0 * u
        speed = 3.0 * change / (end - start)
        self._values[index, first:last] += speed * cushion_s * after * np.exp(-after)

    def bump(self, channel: str, start: float, end: float, height: float) -> None:
        """Move by ``height`` and back, smooth to the second derivative."""
        first, last, u = self._slice(start, end)
        self._values[CHANNEL[channel], first:last] += height * (4.0 * u * (1.0 - u)) ** 3

    def shock(self, channel: str, time: float, size: float, frequency_hz: float, decay_s: float) -> None:
        """Ring after a contact: a damped sine."""
        first, last, u = self._slice(time, time + 6.0 * decay_s)
        elapsed = u * 6.0 * decay_s
        ring = np.sin(2.0 * math.pi * frequency_hz * elapsed) * np.exp(-elapsed / decay_s)
        self._values[CHANNEL[channel], first:last] += size * ring

    def oscillate(
        self, channel: str, start: float, end: float, size: float, frequency_hz: float, phase: float = 0.0
    ) -> None:
        """Oscillate, fading in and out over 0.3 s (at most a third of the stretch)."""
        first, last, u = self._slice(start, end)
        fade = min(0.3 / max(end - start, 1e-9), 1.0 / 3.0)
        envelope = minimum_jerk(np.clip(u / fade, 0, 1)) * minimum_jerk(np.clip((1 - u) / fade, 0, 1))
        elapsed = u * (end - start)
        wave = np.sin(2.0 * math.pi * frequency_hz * elapsed + phase)
        self._values[CHANNEL[channel], first:last] += size * envelope * wave

    def add(self, channel: str, values: FloatArray) -> None:
        """Add a whole trajectory, one value for each of ``times()``."""
        self._values[CHANNEL[channel]] += values

    def times(self) -> FloatArray:
        """Return the times of the internal grid, (N,) seconds."""
        return np.arange(self._values.shape[1]) / RATE_HZ - MARGIN_S

    def wander(self, channel: str, size: float, rng: np.random.Generator, low_hz: float, high_hz: float) -> None:
        """Add slow irregular motion of standard deviation ``size``: eight sines of random pace."""
        times = self.times()
        pace = np.exp(rng.uniform(math.log(low_hz), math.log(high_hz), 8))
        phase = rng.uniform(0.0, 2.0 * math.pi, 8)
        waves = np.sin(2.0 * math.pi * pace[:, None] * times + phase[:, None]).sum(axis=0)
        self.add(channel, size / 2.0 * waves)

    def channels(self) -> FloatArray:
        """Return the low-passed sum of all events, (C, N)."""
        values = self._values + np.cumsum(self._steps[:, :-1], axis=1)
        return np.asarray(gaussian_filter1d(values, SMOOTHING_S * RATE_HZ, axis=1, mode="nearest"))


def interpolate(values: FloatArray, times: FloatArray, start_s: float = -MARGIN_S) -> FloatArray:
    """Interpolate channels, or other values on the internal time grid, by cubic Lagrange interpolation.

    Args:
        values: (..., N) on the internal grid.
        times: (M,) seconds within the session.
        start_s: time of the first value; that of ``Timeline.times`` unless given.

    Returns:
        (..., M)
    """
    place = (np.asarray(times) - start_s) * RATE_HZ
    first = np.clip(np.floor(place).astype(np.int64), 1, values.shape[-1] - 3)
    u = place - first
    weights = (
        -u * (u - 1.0) * (u - 2.0) / 6.0,
        (u + 1.0) * (u - 1.0) * (u - 2.0) / 2.0,
        -(u + 1.0) * u * (u - 2.0) / 2.0,
        (u + 1.0) * u * (u - 1.0) / 6.0,
    )
    return np.asarray(sum(w * values[..., first + k - 1] for k, w in enumerate(weights)))
