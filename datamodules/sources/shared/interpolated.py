"""Values that were interpolated: a sensor of 20 Hz written at 100 Hz, with straight lines between what it measured.

A sample on a straight line lies midway between its neighbours, but for rounding. Between two measured values all
samples do so, and the measured ones bend the line. Bends of a coarse sensor come as they happen. Those of interpolated
values come at an even pace, and are told where that can't be chance.

Shape legend: N samples, K bends.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from datamodules.recording import FloatArray, ImuStream
from datamodules.signal import BoolArray

_BLOCK = 512  # samples that are looked at together
_FEWEST_BLOCK = 128
_BENDS = 24  # of a block that says something
_BLOCKS = 3  # that say something
_AGREE = 0.8  # of them
_MOST_BENDS = 0.95  # of a block's rows; with 2.2 rows a value, they are 0.91 of them
_ON_BEAT = 0.98  # of a block's bends
_LONGEST = 64  # rows a measured value
_ROUNDED = 1.05  # steps of rounding that a sample on a line may be off it
_FEWEST_ROWS = 2.2  # a value, where it is no whole number: with fewer, hardly a row lies on a line
_SHARP = 2.0  # steps of rounding, in the median of the bends
_VERY_SHARP, _ROWS_A_BEND, _BENT = 10.0, 2.1, 0.6
_MOVING = 0.5  # share of the rows on lines that differ from the next one
_SPECTRUM = 1 << 14
_NEAR = 0.08  # of a beat
_CHANCE = -25.0  # logarithm
_LEFT, _IN_TURNS = 0.15, 0.3
_STRETCH, _STRETCHES = 1 << 16, 3  # of long recordings, that are looked at
_FLOAT32 = 4 * float(np.finfo(np.float32).eps)
_EVEN_STAMPS = 0.2


def interpolation_notes(streams: Sequence[ImuStream]) -> list[str]:
    """What is interpolated for certain, in words; to be asked before anything is resampled."""
    notes = []
    for stream in streams:
        rate = 1 / float(np.median(np.diff(stream.times))) if stream.times.size > 1 else 0.0
        said = [
            f"the {name}'s values lie on straight lines between {rate / rows:.3g} values a second"
            for name, values in (("accelerometer", stream.values[:, :3]), ("gyroscope", stream.values[:, 3:]))
            if (rows := rows_a_value(stream.times, values)) > 1
        ]
        if said:
            notes.append(
                f"{stream.placement}: {' and '.join(said)}, and are written {rate:.4g} times a second: they were "
                "interpolated, and hold no faster movement; export what was measured if you can"
            )
    return notes


def rows_a_value(times: FloatArray, values: FloatArray) -> float:
    """How many rows there are for each value that was measured; 1.0 where nothing says that values are interpolated.

    Args:
        times: (N,) seconds.
        values: (N, C) of one sensor.
    """
    good = ~np.isnan(values).any(axis=1)
    if not good.all():
        times, values = times[good], values[good]
    if len(times) < _BLOCKS * _FEWEST_BLOCK:
        return 1.0
    begins = {0}
    if len(times) > _STRETCH * _STRETCHES:
        begins = set(np.linspace(0, len(times) - _STRETCH, _STRETCHES).astype(int).tolist())
    length = _STRETCH if len(begins) > 1 else len(times)
    found: list[float] = []
    for begin in sorted(begins):
        found += _of_blocks(times[begin : begin + length], values[begin : begin + length])
    if len(found) < _BLOCKS:
        return 1.0
    usual = float(np.median(found))
    agreeing = np.abs(np.array(found) / usual - 1) < 0.1
    return usual if usual > 1 and float(agreeing.mean()) >= _AGREE else 1.0


def _of_blocks(times: FloatArray, values: FloatArray) -> list[float]:
    """Rows a value in each block that says something."""
    off = _off_the_line(times, values)
    moves = np.any(values[2:] != values[1:-1], axis=1)
    size = min(_BLOCK, len(off) // _BLOCKS)
    steps = np.diff(times)
    at = np.cumsum(np.maximum(1, np.round(steps / np.median(steps)))).astype(np.int64)  # lost rows count
    found = []
    for begin in range(0, len(off) - size + 1, size):
        block = off[begin : begin + size]
        bends = np.flatnonzero(block > _ROUNDED)
        if bends.size < min(_BENDS, size // 8):
            continue
        if bends.size > _MOST_BENDS * size:
            found.append(1.0)
            continue
        lines = moves[begin : begin + size][block <= _ROUNDED]
        if not lines.size or float(lines.mean()) < _MOVING:  # values that were held are not interpolated
            found.append(1.0)
            continue
        sharpness = float(np.median(block[bends]))
        own = at[begin : begin + size] - at[begin]
        if own[-1] >= _SPECTRUM:
            continue
        rows = values[begin + 1 : begin + 1 + size]
        found.append(
            _on_a_beat(own[bends]) or _between_rows(own, bends, sharpness, rows) or _unevenly(bends, sharpness, size)
        )
    return found


def _off_the_line(times: FloatArray, values: FloatArray) -> FloatArray:
    """(N - 2,) how far samples are from the line through their neighbours, in steps of rounding, of the worst axis."""
    steps = np.diff(times)
    even: BoolArray = np.abs(steps / np.median(steps) - 1) < _EVEN_STAMPS
    off = np.zeros(len(values) - 2)
    for axis in values.T:
        moves = np.abs(np.diff(axis))
        if not (moves > 0).any():
            continue
        rounding = max(float(moves[moves > 0].min()), _FLOAT32 * float(np.abs(axis).max()))
        off = np.maximum(off, np.abs(axis[1:-1] - (axis[:-2] + axis[2:]) / 2) / rounding)
    off[~(even[1:] & even[:-1])] = 0.0  # beside a lost sample the line is another one
    return off


def _on_a_beat(bends: NDArray[np.int64]) -> float:
    """Rows a value if bends come every so many rows; 0.0 otherwise."""
    for rows in range(_LONGEST, 1, -1):
        if bends.size >= _BENDS and np.bincount(bends % rows).max() >= _ON_BEAT * bends.size:
            return float(rows)
    return 0.0


def _between_rows(at: NDArray[np.int64], bent: NDArray[np.int64], sharpness: float, values: FloatArray) -> float:
    """Rows a value if bends keep out of a part of a beat that is no number of rows; 0.0 otherwise.

    A value that was measured between two rows bends the line at both. So with ``r`` rows a value, no bend falls into a
    share ``(r - 2) / r`` of the beat, or into more where ``r`` is a ratio of small numbers.
    """
    if sharpness < _SHARP:
        return 0.0
    there, bends = np.zeros(_SPECTRUM), at[bent]
    there[at] = -bent.size / at.size
    there[bends] += 1.0
    power = np.abs(np.fft.rfft(there))
    power[: _SPECTRUM // _LONGEST] = 0
    beat = int(np.argmax(power)) / _SPECTRUM
    if beat == 0 or (rows := 1 / beat) <= _FEWEST_ROWS:
        return 0.0
    phases = np.sort(bends * beat % 1.0)
    few = int((1 - _ON_BEAT) * bends.size)  # may be within the part
    around = np.concatenate([phases, phases[: few + 1] + 1.0])
    parts = around[few + 1 :] - around[: phases.size]
    widest = int(np.argmax(parts))
    empty = float(parts[widest])
    # That so many bends keep out of it by chance is as likely as this.
    chance = bends.size * float(np.log1p(-min(empty, 0.99)))
    if empty < (rows - 2) / rows - _NEAR or chance > _CHANCE:
        return 0.0
    middle, spare = around[widest] + empty / 2 + 0.5, max(0.0, empty - (rows - 2) / rows) / 2
    return rows if any(_are_lines(at * beat - middle - spare * way, values) for way in (0, -1, 1, -0.5, 0.5)) else 0.0


def _are_lines(at: FloatArray, values: FloatArray) -> bool:
    """Whether straight lines between points at whole ``at`` leave next to nothing of what lines over two rows leave.

    A hum beside a coarse sensor keeps a beat, too, but is no such lines, unless they go up and down in turns.
    """
    knot = np.floor(at).astype(np.int64)
    first = knot[0]
    lines = np.zeros((len(values), knot[-1] - first + 2))
    np.put_along_axis(lines, (knot - first)[:, None], 1 - (at - knot)[:, None], axis=1)
    np.put_along_axis(lines, (knot - first)[:, None] + 1, (at - knot)[:, None], axis=1)
    points = np.linalg.lstsq(lines, values, rcond=None)[0]
    rest = values - lines @ points
    off = values[1:-1] - (values[:-2] + values[2:]) / 2
    around = points - points.mean(axis=0)
    in_turns = np.abs((around * np.where(np.arange(len(points)) % 2, 1, -1)[:, None]).mean(axis=0))
    hums = bool((in_turns > _IN_TURNS * around.std(axis=0)).any())
    return not hums and float(np.sqrt((rest**2).sum())) < _LEFT * float(np.sqrt((off**2).sum()))


def _unevenly(bends: NDArray[np.int64], sharpness: float, size: int) -> float:
    """Rows a value if sharp bends, of two rows at most, leave lines that are longer; 1.0 otherwise.

    So it is where what was measured came unevenly. Shocks bend the line for longer, and a coarse sensor not sharply.
    """
    values = int((np.diff(bends) > 1).sum()) + 1
    if sharpness < _VERY_SHARP or values < _BENDS or bends.size > _ROWS_A_BEND * values or bends.size > _BENT * size:
        return 1.0
    return size / values
