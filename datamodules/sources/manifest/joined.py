"""One sensor whose accelerometer and gyroscope are in files of their own, or in rows of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from datamodules.recording import ImuStream, RecordingError
from datamodules.sources.shared.streams import on_one_grid

MAX_GAP_S = 0.1  # nothing is interpolated over a longer stretch without samples, as in windows


def join_streams(streams: Sequence[ImuStream], recording: str) -> list[ImuStream]:
    """Streams with the halves of a placement put together, each by its own stamps.

    Args:
        streams: of one recording; a placement is there once, or twice with a half each.
        recording: its name, for messages.

    Raises:
        RecordingError: a placement has a gyroscope and no accelerometer, or both never measured at one time.
    """
    by_placement: dict[str, list[ImuStream]] = {}
    for stream in streams:
        by_placement.setdefault(stream.placement, []).append(stream)
    joined = []
    for placement, halves in by_placement.items():
        with_acceleration = [s for s in halves if not np.isnan(s.values[:, :3]).all()]
        turning = [s for s in halves if np.isnan(s.values[:, :3]).all()]
        if not with_acceleration:
            raise RecordingError(
                f"{halves[0].origin}, recording {recording}: the sensor at {placement} has no acceleration; expected "
                "an accelerometer beside the gyroscope"
            )
        joined.append(_join(with_acceleration[0], turning[0], recording) if turning else with_acceleration[0])
    return joined


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
