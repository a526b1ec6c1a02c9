"""Scenes: the frames of a window above its acceleration and angular rate, on one time axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from numpy.typing import NDArray

from datamodules.recording import STANDARD_GRAVITY
from datamodules.shards.reader import ShardSet

_COLOURS = ("#0072B2", "#E69F00", "#009E73")  # Okabe and Ito's, told apart by all eyes
_FRAME_SHARE = 0.113  # of the axis' width; a frame of the axis' height is then square


@dataclass(frozen=True)
class Scene:
    """The content of a drawing of a window.

    Attributes:
        title: title above the drawing.
        imu: (T, 6) m/s^2 and rad/s, NaN where nothing was measured.
        rate_hz: rate of the IMU.
        duration_s: length of the window.
        frames: times since the window's start, and (H, W, 3) uint8 pixels.
    """

    title: str
    imu: NDArray[np.floating]
    rate_hz: float
    duration_s: float
    frames: Sequence[tuple[float, NDArray[np.uint8]]]


def scene_of(shards: ShardSet, window: int) -> Scene:
    """Read what a drawing of one window shows.

    Args:
        shards: shards of the data set.
        window: number of the window.
    """
    indices = np.array([window])
    imu, sample_mask, channel_mask = shards.imu(indices)
    settings = shards.settings
    frames: list[tuple[float, NDArray[np.uint8]]] = []
    if settings.frames:
        pixels = shards.frames(indices)[0]
        times, mask = shards.frame_times(indices)
        frames = [(float(times[0][index]), pixels[index]) for index in np.flatnonzero(mask[0])]
    table = {name: column[window] for name, column in shards.table.items()}
    start, activity = f"{table['start_s']:.2f}", table["activity"] or "unlabelled"
    note = ", simulated" if shards.simulated else ""
    title = f"{table['recording']}, {table['placement']}, from {start} s: {activity}{note}"
    valid = np.where(sample_mask[0][:, None] & channel_mask[0], imu[0], np.nan)
    return Scene(title, valid, settings.imu_rate_hz, settings.duration_s, frames)


def draw_window(shards: ShardSet, window: int) -> Figure:
    """Draw one window: its frames at their times, with acceleration and angular rate below.

    Args:
        shards: shards of the data set.
        window: number of the window.
    """
    figure = Figure(figsize=(12, 5.6), layout="constrained")
    draw_scene(scene_of(shards, window), figure)
    return figure


def draw_scene(scene: Scene, figure: FigureBase) -> None:
    """Draw into a figure, or a part of one: frames at their times, acceleration and angular rate below."""
    film, acceleration, rate = figure.subplots(
        3, 1, sharex=True, gridspec_kw={"height_ratios": [0.9, 1, 1], "hspace": 0.03}
    )
    _draw_frames(film, scene)
    draw_traces(acceleration, rate, scene)
    figure.suptitle(scene.title, fontsize=11)


def draw_traces(acceleration: Axes, rate: Axes, scene: Scene) -> None:
    """Draw acceleration and angular rate over time."""
    times = np.arange(len(scene.imu)) / scene.rate_hz
    for axis in range(3):
        acceleration.plot(times, scene.imu[:, axis], color=_COLOURS[axis], lw=1.2, label="xyz"[axis])
        rate.plot(times, scene.imu[:, 3 + axis], color=_COLOURS[axis], lw=1.2, label="xyz"[axis])
    norm = np.linalg.norm(scene.imu[:, :3], axis=1)
    acceleration.plot(times, norm, color="0.6", lw=0.9, label="norm")
    acceleration.axhline(STANDARD_GRAVITY, color="0.6", lw=0.7, ls=":")
    acceleration.set_ylabel("acceleration\n(m/s$^2$)")
    rate.set_ylabel("angular rate\n(rad/s)")
    rate.set(xlabel="seconds since the window's start", xlim=(0, scene.duration_s))
    acceleration.legend(loc="center right", ncols=4, fontsize=8, frameon=False)


def _draw_frames(axes: Axes, scene: Scene) -> None:
    axes.set(yticks=[], ylim=(0, 1))
    if not scene.frames:
        axes.text(0.5, 0.5, "no video", transform=axes.transAxes, ha="center")
        return
    side = _FRAME_SHARE * scene.duration_s  # of a square frame, in seconds along the axis
    end = -np.inf
    for time, pixels in scene.frames:
        if time - side / 2 < end:  # it would cover the frame before
            continue
        axes.imshow(pixels, extent=(time - side / 2, time + side / 2, 0.08, 1.0), aspect="auto")
        axes.plot([time, time], [0, 0.08], color="0.3", lw=1)  # the exact time of the frame
        end = time + side / 2
    axes.set(xlim=(0, scene.duration_s), ylim=(0, 1))
    axes.set_ylabel("frames")
