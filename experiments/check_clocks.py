"""The offset between the clocks of camera and sensor: ``python -m experiments.check_clocks CONFIG [key=value]``.

Estimates, for every recording of every data set that has a camera, the offset between its clocks, prints one line for
each with how certain it is, and draws how well the two go together at every lag. If most recordings can't tell theirs,
several are compared as one. Nothing is changed by it. Sign: sensor stamps + offset = video stamps.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.runtime.command_line import EXIT_OK, guarded, parse
from experiments.runtime.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from datamodules.clock_sync import ClockEstimate
    from experiments.settings.schema import Config


_COMMAND = "experiments.check_clocks"
_PICTURES = 50


def line_of(estimate: ClockEstimate) -> str:
    """One recording, for people."""
    from datamodules.clock_sync.result import verdict_of

    note = verdict_of(estimate.certainty, estimate.offset_s)
    note = "CLOCKS DISAGREE" if note == "disagree" else note
    offset = f"{1000 * estimate.offset_s:+8.0f}" if math.isfinite(estimate.offset_s) else f"{'-':>8}"
    drift = f"{estimate.drift_ppm:+7.0f}" if math.isfinite(estimate.drift_error_ppm) else f"{'-':>7}"
    return (
        f"{estimate.recording:<24} {estimate.placement:<12} {estimate.camera:<14} {offset} {drift} "
        f"{estimate.confidence:10.3f} {estimate.margin:6.2f} {estimate.correlation:11.2f}  {estimate.view:<9} {note}"
    )


HEAD = (
    f"{'recording':<24} {'sensor':<12} {'camera':<14} {'offset':>8} {'drift':>7} "
    f"{'confidence':>10} {'margin':>6} {'correlation':>11}  {'camera':<9}\n{'':<52} {'ms':>8} {'ppm':>7}"
)


def draw_estimate(estimate: ClockEstimate) -> Figure:
    """Information over the lag, and, of a long recording, the windows' offsets over time."""
    import numpy as np
    from matplotlib.figure import Figure

    line = estimate.line
    several = line is not None and int(np.isfinite(line.offsets_s).sum()) > 1
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    axes = figure.subplots(1, 2 if several else 1, squeeze=False)[0]
    axes[0].plot(estimate.lags_s, estimate.curve, color="#0072B2", lw=1.2)
    if math.isfinite(estimate.offset_s):
        axes[0].axvline(estimate.offset_s, color="#E69F00", lw=1)
    axes[0].set(xlabel="offset added to the sensor's times (s)", ylabel="information (nats a sample)", ylim=(0, None))
    if several and line is not None:
        axes[1].plot(line.times_s + estimate.reference_s, 1000 * line.offsets_s, "o", color="#0072B2", ms=4)
        fitted = estimate.offset_s + 1e-6 * estimate.drift_ppm * line.times_s
        axes[1].plot(line.times_s + estimate.reference_s, 1000 * fitted, color="#E69F00", lw=1)
        axes[1].set(xlabel="time of the recording (s)", ylabel="offset (ms)")
    figure.suptitle(str(estimate), fontsize=10)
    return figure


def run(config: Config) -> tuple[list[ClockEstimate], Path]:
    """Estimate all, print a table, draw the first ones; returns the estimates and the pictures' folder.

    Raises:
        UserError: no data set of the experiment has a camera.
    """
    from datamodules.clock_sync import ClockSettings
    from datamodules.clock_sync.estimate import compare, measure_chosen, shifted
    from datamodules.clock_sync.pooling import Pool
    from datamodules.recording import RecordingError
    from datamodules.windows.checks import check_recording
    from datamodules.windows.cut import select_imu
    from experiments.reports.shared.pictures import save_figure
    from experiments.runtime.console import progress_bar
    from experiments.runtime.run_folder import run_folder
    from experiments.settings.privacy import source_of

    with_camera = {key: dataset for key, dataset in config.datasets.items() if dataset.camera}
    if not with_camera:
        raise UserError(f"experiment '{config.experiment}' has no data set with a camera, so no clocks to compare")
    folder = run_folder(config) / "clocks"
    folder.mkdir(parents=True, exist_ok=True)
    estimates: list[ClockEstimate] = []
    print(HEAD)
    with progress_bar() as bar:
        for key, dataset in with_camera.items():
            source = source_of(config, key).open()
            names = [n for n in source.names() if not dataset.subjects or source.subject_of(n) in dataset.subjects]
            pool = Pool()
            task = bar.add_task(f"clocks of {key}", total=len(names))
            for name in names:
                try:
                    recording = source.load(name)
                    check_recording(recording)
                    stream = shifted(select_imu(recording, dataset.placement), recording.imu_clock_offset_s)
                    seen = measure_chosen(recording.video(dataset.camera), ClockSettings())
                    estimate = compare(seen, stream, name, dataset.camera)
                except RecordingError as error:
                    print(f"{name:<24} can't be used: {error}")
                else:
                    print(line_of(estimate))
                    pool.add(seen, stream, estimate)
                    if len(estimates) < _PICTURES:
                        path = folder / f"{key}-{name.replace('/', '_')}.png"
                        save_figure(draw_estimate(estimate), path, dpi=100)
                    estimates.append(estimate)
                bar.advance(task)
            if (together := pool.estimate(f"{len(pool)} of {key} as one", dataset.camera)) is not None:
                print(line_of(together))
    return estimates, folder


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    config = parse(argv, _COMMAND, "Estimate how far apart the clocks of camera and sensor are.")

    def work() -> int:
        from datamodules.clock_sync.result import DISAGREE_S

        estimates, folder = run(config)
        for certainty in ("certain", "likely"):
            told = [e for e in estimates if e.certainty == certainty]
            off = sum(abs(e.offset_s) > DISAGREE_S for e in told)
            print(
                f"{certainty} in {len(told)} of {len(estimates)} recordings; {off} of them are off by more than "
                f"{1000 * DISAGREE_S:.0f} ms"
            )
        print(f"Pictures: {folder}")
        return EXIT_OK

    return guarded(work, _COMMAND)


if __name__ == "__main__":
    sys.exit(main())
