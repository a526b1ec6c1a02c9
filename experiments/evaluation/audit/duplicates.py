"""Duplicates: windows that show the same movement, whole or shifted in time.

A split by subject fails where the recording of one subject is in the data under a second name. Two searches find such
windows by their content alone:

- Digests of the rounded samples (:func:`window_digests`) find whole duplicates, however short.
- Landmarks find duplicates that are shifted in time, if they share at least ``MIN_SHARED_S``. A landmark is a peak of
  the motion, and lies at the same moment in both windows. A few numbers describe what all channels did around it.
  Where the descriptions of two subjects are nearly equal, the two windows are aligned and compared sample by sample.
  (Audio fingerprints work in the same way: A. Wang, An industrial-strength audio search algorithm, ISMIR 2003.)

Sensors that hang or lie still give equal windows that are no duplicates, and are skipped. Duplicates that were turned,
scaled or stretched in time are not found.

Shape legend: N windows, T samples, L landmarks, P points around each.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xxhash
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import cKDTree

from datamodules.signal import PHYSICAL_SCALE

Read = Callable[[NDArray[np.int64]], tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]]

MIN_SHARED_S = 1.5  # least movement that two windows share; shorter windows are found only as whole duplicates
_STEP = np.array([0.01] * 3 + [0.002] * 3)  # rounding for digests, m/s^2 and rad/s; float32 noise is 1e-6
_MIN_ROWS = 8  # fewer different rounded samples do not tell a window from others
_SMOOTHING_S = (
    0.03  # standard deviation of the Gaussian; half power at 4.4 Hz, where half a sample of shift does no harm
)
_REACH_S = 0.5  # a landmark's description covers so much time on either side
_POINT_S = 0.08  # time between points of a description
_WIDTH = 10  # numbers that describe a landmark
_NEAR = 0.10  # descriptions nearer than this lead to a comparison of samples; unit: standard deviation of the movement
_EQUAL = 0.05  # largest RMS difference of duplicates, in the same unit
_STILL = 1e-3  # standard deviation of a sensor that lies still, in g and half turns per second
_CHUNK = 512
_MOST_COMPARED = 2000


@dataclass(frozen=True)
class Landmarks:
    """Moments by which windows can be recognised.

    Attributes:
        window: number of each landmark's window, (L,).
        position: time since the window's start in samples, (L,), with fractions.
        description: numbers that describe the movement around the landmark, (L, ``_WIDTH``).
    """

    window: NDArray[np.int64]
    position: NDArray[np.float64]
    description: NDArray[np.float32]


@dataclass(frozen=True)
class Duplicate:
    """Two windows that show the same movement.

    Attributes:
        first: number of one window.
        second: number of the other window, which is of another group.
        shift: sample t of ``first`` is sample t + shift of ``second``.
    """

    first: int
    second: int
    shift: float


def window_digests(read: Read, windows: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Compute one number per window that equal content shares, (N,); 0 for a window without enough content.

    The number is the xxh3 of the valid samples, rounded to 0.01 m/s^2 and 0.002 rad/s. Rounding absorbs the noise of
    a unit conversion in another order. A value on the edge of a step can still hide a duplicate; then the landmarks
    may find it. A sensor that hangs, or fewer than ``_MIN_ROWS`` different samples, are not enough content.

    Args:
        read: function that reads samples (N, T, 6), sample mask (N, T) and channel mask (N, 6) of windows.
        windows: numbers of the windows, (N,).
    """
    digests = np.zeros(len(windows), np.uint64)
    # One number stands for a row's six, and other rows hardly share it. Counting different rows would be slow.
    weights = np.random.default_rng(0).integers(1, 1 << 31, 6)
    for start in range(0, len(windows), _CHUNK):
        imu, samples, _ = read(windows[start : start + _CHUNK])
        rounded = np.rint(imu / _STEP).astype(np.int64)
        for row, (values, valid) in enumerate(zip(rounded, samples, strict=True)):
            content = values[valid]
            if len(np.unique(content @ weights)) >= _MIN_ROWS:
                digests[start + row] = xxhash.xxh3_64_intdigest(content.tobytes())
    return digests


def find_landmarks(read: Read, windows: NDArray[np.int64], rate_hz: float) -> Landmarks:
    """Find peaks of the smoothed norm over all channels, and describe the channels around them.

    Args:
        read: see :func:`window_digests`.
        windows: numbers of the windows, (N,).
        rate_hz: samples per second.
    """
    parts = [_landmarks(read, windows[start : start + _CHUNK], rate_hz) for start in range(0, len(windows), _CHUNK)]
    return Landmarks(
        np.concatenate([np.empty(0, np.int64), *(part.window for part in parts)]),
        np.concatenate([np.empty(0), *(part.position for part in parts)]),
        np.concatenate([np.empty((0, _WIDTH), np.float32), *(part.description for part in parts)]),
    )


def find_duplicates(
    read: Read, windows: NDArray[np.int64], groups: NDArray[np.int64], rate_hz: float
) -> list[Duplicate]:
    """Find windows of different groups that show the same movement.

    Args:
        read: see :func:`window_digests`.
        windows: numbers of the windows, (N,).
        groups: group of each window, (N,), e.g. its subject; within a group the same movement may occur again.
        rate_hz: samples per second.

    Returns:
        Duplicates in the order of their first and second window. Each window, and each landmark, is listed with its
        nearest duplicate only. At most the likeliest ``_MOST_COMPARED`` pairs of windows are compared.
    """
    found = {
        (duplicate.first, duplicate.second): duplicate
        for duplicate in _shifted_duplicates(read, windows, groups, rate_hz)
    }
    digests = window_digests(read, windows)
    for digest in np.unique(digests[digests > 0]):
        same = np.flatnonzero(digests == digest)
        for other in same[groups[same] != groups[same[0]]]:
            first, second = int(windows[same[0]]), int(windows[other])
            found[(first, second)] = Duplicate(first, second, 0.0)
    return [found[key] for key in sorted(found)]


def _smooth(
    read: Read, windows: NDArray[np.int64], rate_hz: float
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Smooth channels, in g and half turns per second (N, T, 6), and find where they are valid: start, end (N,)."""
    imu, samples, channels = read(windows)
    values = (np.where(channels[:, None, :], imu, 0) / PHYSICAL_SCALE).astype(np.float32)
    sigma = _SMOOTHING_S * rate_hz
    smooth = gaussian_filter1d(values, sigma, axis=1, mode="nearest", truncate=4.0)
    starts, ends = _longest_runs(samples)
    margin = math.ceil(4.0 * sigma) + 1
    return smooth, starts + margin, ends - margin


def _longest_runs(samples: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the longest run of valid samples of each window: start and end, (N,) each."""
    length = np.zeros(samples.shape, np.int64)
    run = np.zeros(len(samples), np.int64)
    for t in range(samples.shape[1]):
        run = np.where(samples[:, t], run + 1, 0)
        length[:, t] = run
    last = length.argmax(axis=1)
    longest = length[np.arange(len(samples)), last]
    return last + 1 - longest, np.where(longest > 0, last + 1, 0)


def _landmarks(read: Read, windows: NDArray[np.int64], rate_hz: float) -> Landmarks:
    smooth, starts, ends = _smooth(read, windows, rate_hz)
    norm = np.sqrt((smooth.astype(np.float64) ** 2).sum(axis=2))
    reach = math.ceil(_REACH_S * rate_hz) + 2
    t = np.arange(1, norm.shape[1] - 1)
    peak = (norm[:, 1:-1] > norm[:, :-2]) & (norm[:, 1:-1] >= norm[:, 2:])
    peak &= (t >= starts[:, None] + reach) & (t < ends[:, None] - reach)
    row, before = np.nonzero(peak)
    left, middle, right = norm[row, before], norm[row, before + 1], norm[row, before + 2]
    # The top of the parabola through three samples lies at most half a sample from the middle one.
    top = before + 1 + 0.5 * (left - right) / np.minimum(left - 2 * middle + right, -1e-300)
    steps = round(_REACH_S / _POINT_S)
    points = np.arange(-steps, steps + 1) * _POINT_S * rate_hz
    around = _interpolate(smooth, row, top[:, None] + points)  # (L, P, 6)
    spread = np.sqrt(around.var(axis=1).mean(axis=1))
    moving = spread > _STILL
    flat = around[moving].reshape(int(moving.sum()), -1) / spread[moving, None]
    # Random projections keep distances on average, and a tree in few dimensions is fast.
    directions = np.random.default_rng(0).normal(size=(flat.shape[1], _WIDTH)) / math.sqrt(flat.shape[1] * _WIDTH)
    description = (flat @ directions).astype(np.float32)
    return Landmarks(windows[row[moving]], top[moving], description)


def _interpolate(
    smooth: NDArray[np.float32], rows: NDArray[np.intp], positions: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Interpolate by a cubic through the four nearest samples; ``positions`` (L, P) -> (L, P, 6)."""
    whole = np.floor(positions).astype(np.int64)
    u = (positions - whole)[..., None]
    weights = (
        -u * (u - 1) * (u - 2) / 6,
        (u + 1) * (u - 1) * (u - 2) / 2,
        -(u + 1) * u * (u - 2) / 2,
        (u + 1) * u * (u - 1) / 6,
    )
    last = smooth.shape[1] - 1
    result = np.zeros((*positions.shape, smooth.shape[2]))
    for offset, weight in enumerate(weights, start=-1):
        result += weight * smooth[rows[:, None], np.clip(whole + offset, 0, last)]
    return result


def _shifted_duplicates(
    read: Read, windows: NDArray[np.int64], groups: NDArray[np.int64], rate_hz: float
) -> list[Duplicate]:
    marks = find_landmarks(read, windows, rate_hz)
    row_of = {int(window): row for row, window in enumerate(windows)}
    group = groups[[row_of[int(window)] for window in marks.window]]
    candidates = []  # distance, first landmark, second landmark
    for one in np.unique(group)[:-1]:
        own, later = np.flatnonzero(group == one), np.flatnonzero(group > one)
        tree = cKDTree(marks.description[later], compact_nodes=False, balanced_tree=False)
        distance, nearest = (np.asarray(a) for a in tree.query(marks.description[own], distance_upper_bound=_NEAR))
        near = np.isfinite(distance)
        candidates.append(np.stack([distance[near], own[near], later[nearest[near]]], axis=1))
    pairs: dict[tuple[int, int], float] = {}
    for _, a, b in sorted(map(tuple, np.concatenate([np.empty((0, 3)), *candidates]))):
        first, second = int(a), int(b)
        shift = float(marks.position[second] - marks.position[first])
        pairs.setdefault((int(marks.window[first]), int(marks.window[second])), shift)
    likeliest = [Duplicate(first, second, shift) for (first, second), shift in pairs.items()][:_MOST_COMPARED]
    return [duplicate for duplicate in likeliest if _is_duplicate(read, duplicate, rate_hz)]


def _is_duplicate(read: Read, duplicate: Duplicate, rate_hz: float) -> bool:
    """Align the two windows and compare their samples."""
    smooth, starts, ends = _smooth(read, np.array([duplicate.first, duplicate.second]), rate_hz)
    begin = math.ceil(max(starts[0], starts[1] - duplicate.shift))
    end = math.floor(min(ends[0], ends[1] - duplicate.shift))
    margin = 2 * (math.ceil(4.0 * _SMOOTHING_S * rate_hz) + 1)  # shared samples that smoothing has cut off
    if end - begin + margin < MIN_SHARED_S * rate_hz:
        return False
    at = np.arange(begin, end)
    one = smooth[0, at].astype(np.float64)
    other = _interpolate(smooth, np.array([1]), (at + duplicate.shift)[None])[0]
    spread = math.sqrt(one.var(axis=0).mean())
    return spread > _STILL and math.sqrt(((one - other) ** 2).mean()) < _EQUAL * spread
