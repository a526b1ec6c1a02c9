"""Values that were held: a sensor of 20 Hz written at 100 Hz repeats each value five times, and measured none of them.

Held values change at an even pace, or nearly so. Values of a coarse sensor at rest repeat, too, but by chance: a random
number of times, which does not stay near a line.

Shape legend: N samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from datamodules.recording import FloatArray, ImuStream
from datamodules.sources.shared.streams import on_one_grid

_BLOCK = 64  # changes that are looked at together
_OFF = 2.01  # rows that changes at an even pace may be off a line, with the rounding of both ends
_FEWEST = 0.8  # of the blocks
_LEAST = 1.15  # rows a value; less is a repeat now and then
_LEAST_ABOUT, _ABOUT = 3, 2.0  # rows a value, and the longest over the shortest
_JOINED_GAP_S = 0.1


def held_rows(values: FloatArray) -> tuple[float, NDArray[np.int64]]:
    """How many rows a value is there for, and the rows at which it was measured.

    Args:
        values: (N, C) of one sensor.

    Returns:
        1.0 and no rows where values are not held.
    """
    none: NDArray[np.int64] = np.empty(0, np.int64)
    if len(values) < 2 * _BLOCK:
        return 1.0, none
    changed = np.concatenate([[True], (values[1:] != values[:-1]).any(axis=1)])
    at = np.flatnonzero(changed)
    if at.size > len(values) / _LEAST or at.size < _BLOCK:
        return 1.0, none
    blocks = at[: at.size // _BLOCK * _BLOCK].reshape(-1, _BLOCK)
    paces = (blocks[:, -1] - blocks[:, 0]) / (_BLOCK - 1)
    pace = float(np.median(paces))
    lines = blocks[:, :1] + paces[:, None] * np.arange(_BLOCK)
    even = np.ptp(blocks - lines, axis=1) <= _OFF
    # A sensor that hangs, or rests, makes a longer run; that block says nothing.
    hung = np.diff(blocks, axis=1).max(axis=1) > 2 * pace + 1
    if _held_about(np.diff(at)):
        own = np.diff(at)
        pace = float(own[own <= 2 * np.median(own)].mean())
        return pace, _with_longer_runs(at, pace, len(values))
    if pace < _LEAST or not (~hung).any() or float(even[~hung].mean()) < _FEWEST or hung.mean() > 0.5:
        return 1.0, none
    return pace, _with_longer_runs(at, pace, len(values))


def _with_longer_runs(at: NDArray[np.int64], pace: float, rows: int) -> NDArray[np.int64]:
    """Within a longer run the sensor went on measuring the same."""
    lengths = np.diff(np.append(at, rows))
    long = np.flatnonzero(lengths > 1.5 * pace + 1)
    more = [np.round(at[i] + np.arange(pace, lengths[i] - pace / 2, pace)).astype(np.int64) for i in long]
    return np.unique(np.concatenate([at, *more]))


def _held_about(lengths: NDArray[np.int64]) -> bool:
    """Whether each value is there for about as many rows as the others: a sensor and a logger without a common beat.

    At rest, a coarse sensor repeats a value once or many times, as it happens.
    """
    median = float(np.median(lengths))
    usual = lengths[lengths <= 2 * median]
    low, high = np.quantile(usual, [0.02, 0.98])
    return bool(median >= _LEAST_ABOUT and low > 1 and high <= _ABOUT * low and usual.size > 0.9 * lengths.size)


def without_held(streams: Sequence[ImuStream]) -> tuple[list[ImuStream], list[str]]:
    """Streams with the samples that were measured, and what was found, in words."""
    found, notes = [], []
    for stream in streams:
        kept, text = _measured(stream)
        found.append(kept)
        notes += [text] if text else []
    return found, notes


def _measured(stream: ImuStream) -> tuple[ImuStream, str]:
    with_gyroscope = not np.isnan(stream.values[:, 3:]).all()
    parts = [stream.values[:, :3], *([stream.values[:, 3:]] if with_gyroscope else [])]
    held = [held_rows(part) for part in parts]
    if all(pace == 1.0 for pace, _ in held):
        return stream, ""
    rate = 1 / float(np.median(np.diff(stream.times)))
    said = " and ".join(
        f"the {name}'s values change {rate / pace:.3g} times a second"
        for name, (pace, _) in zip(("accelerometer", "gyroscope"), held, strict=False)
        if pace > 1.0
    )
    text = (
        f"{stream.placement}: {said}, and are written {rate:.4g} times a second: "
        "what is repeated was left out, the rate is what was measured"
    )
    rows = [at if pace > 1.0 else np.arange(len(stream.values)) for pace, at in held]
    if len(rows) == 1 or np.array_equal(rows[0], rows[1]):
        return replace(stream, times=stream.times[rows[0]], values=stream.values[rows[0]]), text
    if held[0][0] > 1.0 and held[1][0] > 1.0 and abs(held[0][0] / held[1][0] - 1) < 0.02:
        both = np.union1d(rows[0], rows[1])
        if both.size < 1.1 * rows[0].size:  # one beat, but for samples at which one of them did not move
            return replace(stream, times=stream.times[both], values=stream.values[both]), text
    times, values = on_one_grid(
        stream.times[rows[0]], parts[0][rows[0]], stream.times[rows[1]], parts[1][rows[1]], _JOINED_GAP_S
    )
    return replace(stream, times=times, values=values), text
