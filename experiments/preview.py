"""Look at what a data set holds: ``python -m experiments.preview CONFIG [key=value]``.

Draws the first window of up to four recordings, frames above IMU traces on one time axis, so that a wrong unit, a
swapped axis or two clocks that disagree can be seen before anything is trained.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from datamodules.recording import STANDARD_GRAVITY
from datamodules.shards.reader import ShardSet
from experiments.command_line import EXIT_OK, guarded, parse
from experiments.datasets import open_dataset
from experiments.run_folder import run_folder
from experiments.schema import Config

_COMMAND = "experiments.preview"
_COLOURS = ("#0072B2", "#E69F00", "#009E73")  # Okabe and Ito's, told apart by all eyes
_FRAME_SHARE = 0.113  # of the axis' width: what makes a frame of its height square


def draw_window(shards: ShardSet, window: int) -> Figure:
    """One window: its frames where they lie in time, acceleration and angular rate below.

    Args:
        shards: of the data set.
        window: its number.
    """
    indices = np.array([window])
    imu, sample_mask, channel_mask = shards.imu(indices)
    settings = shards.settings
    table = {name: column[window] for name, column in shards.table.items()}
    times = np.arange(settings.samples) / settings.imu_rate_hz
    figure = Figure(figsize=(12, 5.6), layout="constrained")
    film, acceleration, rate = figure.subplots(
        3, 1, sharex=True, gridspec_kw={"height_ratios": [0.9, 1, 1], "hspace": 0.03}
    )
    _draw_frames(film, shards, indices, settings.duration_s)
    valid = np.where(sample_mask[0][:, None] & channel_mask[0], imu[0], np.nan)
    for axis in range(3):
        acceleration.plot(times, valid[:, axis], color=_COLOURS[axis], lw=1.2, label="xyz"[axis])
        rate.plot(times, valid[:, 3 + axis], color=_COLOURS[axis], lw=1.2, label="xyz"[axis])
    norm = np.linalg.norm(valid[:, :3], axis=1)
    acceleration.plot(times, norm, color="0.6", lw=0.9, label="norm")
    acceleration.axhline(STANDARD_GRAVITY, color="0.6", lw=0.7, ls=":")
    acceleration.set_ylabel("acceleration\n(m/s$^2$)")
    rate.set_ylabel("angular rate\n(rad/s)")
    rate.set(xlabel="seconds since the window's start", xlim=(0, settings.duration_s))
    acceleration.legend(loc="center right", ncols=4, fontsize=8, frameon=False)
    start, activity = f"{table['start_s']:.2f}", table["activity"] or "unlabelled"
    note = ", simulated" if shards.simulated else ""
    figure.suptitle(f"{table['recording']}, {table['placement']}, from {start} s: {activity}{note}", fontsize=11)
    return figure


def _draw_frames(axes: Axes, shards: ShardSet, indices: np.ndarray, duration_s: float) -> None:
    axes.set(yticks=[], ylim=(0, 1))
    if shards.settings.frames == 0:
        axes.text(0.5, 0.5, "no video", transform=axes.transAxes, ha="center")
        return
    frames = shards.frames(indices)[0]
    times, mask = shards.frame_times(indices)
    side = _FRAME_SHARE * duration_s  # of a square frame, in seconds along the axis
    end = -np.inf
    for index in np.flatnonzero(mask[0]):
        time = float(times[0][index])
        if time - side / 2 < end:  # it would cover the one before
            continue
        axes.imshow(frames[index], extent=(time - side / 2, time + side / 2, 0.08, 1.0), aspect="auto")
        axes.plot([time, time], [0, 0.08], color="0.3", lw=1)  # the very moment
        end = time + side / 2
    axes.set(xlim=(0, duration_s), ylim=(0, 1))
    axes.set_ylabel("frames")


def run(config: Config) -> list[Path]:
    """Draw the first windows of the pretraining data set; returns the pictures' paths."""
    shards = open_dataset(config, config.pretraining.dataset)
    _, first = np.unique(shards.table["recording"], return_index=True)
    folder = run_folder(config) / "preview"
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for window in sorted(first)[:4]:
        path = folder / f"window-{window:05d}.png"
        draw_window(shards, int(window)).savefig(path, dpi=110)
        paths.append(path)
    return paths


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    config = parse(argv, _COMMAND, "Draw windows of the pretraining data set, frames above IMU traces.")

    def work() -> int:
        for path in run(config):
            print(path)
        return EXIT_OK

    return guarded(work, _COMMAND)


if __name__ == "__main__":
    sys.exit(main())
