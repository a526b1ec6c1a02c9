"""One sensor whose accelerometer and gyroscope are in files of their own, or in rows of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from datamodules.recording import ImuStream, RecordingError
from datamodules.sources.shared.streams import on_one_grid

_LOST_S, _LOST_SHARE = 1.0, 0.01  # of a recording; less is how sensors start
_ALTERNATE = 0.2  # share of rows in which one of two sensors is there alone
_REGULAR = 2.5  # median steps that nine in ten of a sensor's own steps stay below
MAX_GAP_S = 0.1  # nothing is interpolated over a longer stretch without samples, as in windows


def join_streams(streams: Sequence[ImuStream], recording: str) -> tuple[list[ImuStream], list[str]]:
    """Streams with the halves of a placement put together, each by its own stamps.

    Args:
        streams: of one recording; a placement is there once, or twice with a half each.
        recording: its name, for messages.

    Returns:
        One stream a placement, and what was done or left out, in words.

    Raises:
        RecordingError: a placement has a gyroscope and no accelerometer, or both never measured at one time.
    """
    by_placement: dict[str, list[ImuStream]] = {}
    for stream in streams:
        by_placement.setdefault(stream.placement, []).append(stream)
    joined: list[ImuStream] = []
    notes: list[str] = []
    for placement, halves in by_placement.items():
        with_acceleration = [s for s in halves if not np.isnan(s.values[:, :3]).all()]
        turning = [s for s in halves if np.isnan(s.values[:, :3]).all()]
        if not with_acceleration:
            raise RecordingError(
                f"{halves[0].origin}, recording {recording}: the sensor at {placement} has no acceleration; expected "
                "an accelerometer beside the gyroscope"
            )
        if turning:
            joined.append(_join(with_acceleration[0], turning[0], recording))
            notes += _left_out(with_acceleration[0], turning[0])
            continue
        own, note = _by_own_rows(with_acceleration[0])
        joined.append(own)
        notes += note
    return joined, notes


def _left_out(acceleration: ImuStream, turning: ImuStream) -> list[str]:
    """What of the two was measured while the other one was not."""
    notes = []
    for name, mine, other in (("accelerometer", acceleration, turning), ("gyroscope", turning, acceleration)):
        length = float(np.ptp(mine.times))
        lost = max(0.0, other.times[0] - mine.times[0]) + max(0.0, mine.times[-1] - other.times[-1])
        if lost > max(_LOST_S, _LOST_SHARE * length):
            notes.append(
                f"{mine.placement}: left out: {lost:.1f} of the {name}'s {length:.1f} s, in which the other sensor did "
                "not measure"
            )
    return notes


def _by_own_rows(stream: ImuStream) -> tuple[ImuStream, list[str]]:
    """A table in whose rows the accelerometer or the gyroscope is missing in turns: each by its own rows."""
    lost = [np.isnan(stream.values[:, part]).any(axis=1) for part in (slice(0, 3), slice(3, 6))]
    alone = lost[0] ^ lost[1]
    if lost[0].all() or lost[1].all() or alone.mean() <= _ALTERNATE or (lost[0] & lost[1]).mean() > 0.1 * alone.mean():
        return stream, []
    times = [stream.times[~gone] for gone in lost]
    for own in times:
        steps = np.diff(own)
        if not steps.size or np.quantile(steps, 0.9) > min(_REGULAR * np.median(steps), MAX_GAP_S):
            return stream, []
    grid, values = on_one_grid(times[0], stream.values[~lost[0], :3], times[1], stream.values[~lost[1], 3:], MAX_GAP_S)
    rates = [1 / float(np.median(np.diff(own))) for own in times]
    note = (
        f"{stream.placement}: accelerometer ({rates[0]:.4g} Hz) and gyroscope ({rates[1]:.4g} Hz) are there in rows of "
        "their own: each is read by its own stamps"
    )
    return replace(stream, times=grid, values=values), [note]


def _join(acceleration: ImuStream, turning: ImuStream, recording: str) -> ImuStream:
    first = max(acceleration.times[0], turning.times[0])
    last = min(acceleration.times[-1], turning.times[-1])
    if last <= first:
        raise RecordingError(
            f"{acceleration.origin}, recording {recording}: the accelerometer measured from "
            f"{acceleration.times[0]:.2f} to {acceleration.times[-1]:.2f} s, the gyroscope ({turning.origin}) from "
            f"{turning.times[0]:.2f} to {turning.times[-1]:.2f} s: at no common time; expected one clock"
        )
    times, values = on_one_grid(
        acceleration.times, acceleration.values[:, :3], turning.times, turning.values[:, 3:], MAX_GAP_S
    )
    return replace(
        acceleration,
        times=times,
        values=values,
        angular_velocity_range=turning.angular_velocity_range,
        device=acceleration.device if acceleration.device != "unknown" else turning.device,
        repeated=np.sort(np.concatenate([acceleration.repeated, turning.repeated])),
    )
