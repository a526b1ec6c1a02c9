"""A made-up study to try everything on: ``python -m experiments.example_study DIR [--without-video]``.

Writes what ``docs/guides/your-data.md`` works with: motion (CSV), video (MP4) and labels of four patients, a manifest
and an experiment. The patients are simulated: motion, video and labels show the same movement. The folder is filled
whole or not at all.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.durable import TEMPORARY
from experiments.runtime.command_line import EXIT_OK, guarded, program

if TYPE_CHECKING:
    from datamodules.recording import FloatArray, Recording, VideoStream

_COMMAND = "experiments.example_study"
_PATIENTS, _SECONDS, _SHORTEST_S, _LONGEST_S = 4, 120.0, 20.0, 3600.0
_FRAME_RATE_HZ, _SIZE = 6.0, 96  # of the videos; pixels a side
_LISTED = 5
_SEED = 3

_MANIFEST = """\
# {folder}/manifest.yaml
simulated: true  # leave this line out for real people
groups:
  clinic:
    imu:
      - files: imu/{{subject}}_{{session}}.csv
        time: {{column: time_ms, unit: ms}}
        sensors:
          head:
            acceleration: {{columns: [ax, ay, az], unit: g}}
            gyroscope: {{columns: [gx, gy, gz], unit: deg/s}}
{videos}    labels: {{files: "labels/{{subject}}_{{session}}.csv"}}
    population: parkinson
"""
_VIDEOS = """\
    videos:
      - {files: "video/{subject}_{session}.mp4", camera: phone}
"""
_EXPERIMENT = """\
# {folder}/experiment.yaml
base: your_study
"""
_WITHOUT_VIDEO = """\
system: no_video
datasets:
  pretraining: {camera: ""}
"""
_ELSEWHERE = """\
datasets:
  pretraining: {{{camera}source: {{params: {{path: {path}}}}}}}
  target: {{source: {{params: {{path: {path}}}}}}}
"""


def manifest_text(folder: str, video: bool = True) -> str:
    """The study's manifest; ``folder`` is named in its first line."""
    return _MANIFEST.format(folder=folder, videos=_VIDEOS if video else "")


def experiment_text(folder: str, video: bool = True) -> str:
    """The study's experiment, for commands that are run where ``folder`` is a path to the study."""
    text = _EXPERIMENT.format(folder=folder)
    if folder == "study":  # as the experiment that it builds on has it
        return text + ("" if video else _WITHOUT_VIDEO)
    import json  # a path in YAML, whatever is in it

    path = json.dumps(f"{folder}/manifest.yaml", ensure_ascii=False)
    camera = "" if video else 'camera: "", '
    return text + ("" if video else "system: no_video\n") + _ELSEWHERE.format(camera=camera, path=path)


def simulate(
    patients: int = _PATIENTS, seconds: float = _SECONDS, frame_rate: float = _FRAME_RATE_HZ, video: bool = True
) -> list[Recording]:
    """Simulate a recording of each patient: a sensor and a camera at the head, on one clock.

    Args:
        patients: how many.
        seconds: length of each recording.
        frame_rate: of the video, Hz.
        video: whether there is a camera.
    """
    from datamodules.sources.simulator import Simulator, SimulatorParams

    params = SimulatorParams(
        seed=_SEED,
        population="parkinson",
        subjects=patients,
        sessions_per_subject=1,
        session_s=seconds,
        placements=["head"],
        cameras=["head"] if video else [],
        frame_rate_hz=frame_rate,
        max_clock_offset_s=0.0,
    )
    return list(Simulator(params))


def write_recordings(
    folder: Path, recordings: Sequence[Recording], size: int = _SIZE, advance: Callable[[], object] = lambda: None
) -> None:
    """Write ``imu/P01_1.csv`` (ms, g, deg/s), ``labels/P01_1.csv`` (s), and ``video/P01_1.mp4`` for a camera.

    Time 0 is the first frame, as a video player shows it; without video, the recording's own.

    Args:
        folder: of the study.
        recordings: one a patient, with one sensor and at most one camera.
        size: pixels a side of the videos.
        advance: called after each frame, and after each patient's tables.
    """
    for number, recording in enumerate(recordings, 1):
        name = f"P{number:02d}_1"
        zero = float(recording.videos[0].frame_times()[0]) if recording.videos else 0.0
        _write_tables(folder, name, recording, zero)
        advance()
        for video in recording.videos:
            path = folder / "video" / f"{name}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_video(path, video, size, advance)


def _write_tables(folder: Path, name: str, recording: Recording, zero: float) -> None:
    """Motion and labels as CSV, from the moment ``zero`` on."""
    import numpy as np

    from core.durable import write_text
    from datamodules.signal import DEGREE, G

    (stream,) = recording.imus
    rows: FloatArray = np.column_stack([1000 * (stream.times - zero), stream.values / ([G] * 3 + [DEGREE] * 3)])
    motion = ["time_ms,ax,ay,az,gx,gy,gz"]
    motion += [f"{row[0]:.3f}," + ",".join(f"{value:.5f}" for value in row[1:]) for row in rows[rows[:, 0] >= 0]]
    labels = ["start,end,activity"]
    labels += [
        f"{max(i.start - zero, 0):.3f},{i.end - zero:.3f},{i.activity}" for i in recording.activities if i.end > zero
    ]
    for kind, lines in (("imu", motion), ("labels", labels)):
        path = folder / kind / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, "\n".join([*lines, ""]))


def write_video(path: Path, video: VideoStream, size: int, advance: Callable[[], object] = lambda: None) -> None:
    """Write a video's frames as H.264 in MP4, each at its own time after the first frame.

    Args:
        path: of the MP4 file; its folder exists.
        video: the frames and their times.
        size: pixels a side; even.
        advance: called after each frame.
    """
    from fractions import Fraction

    import av
    import numpy as np

    from core.durable import write_atomically

    ticks = 90_000  # a second
    times = video.frame_times()
    stamps = np.round((times - times[0]) * ticks).astype(np.int64)

    def write(temporary: Path) -> None:
        with av.open(str(temporary), "w", format="mp4") as file:
            stream = file.add_stream("libx264", rate=Fraction(round(1000 / float(np.median(np.diff(times)))), 1000))
            stream.width = stream.height = size
            stream.pix_fmt = "yuv420p"
            stream.codec_context.time_base = Fraction(1, ticks)
            stream.codec_context.thread_count = 1  # the same file on every machine
            for stamp, pixels in zip(stamps, video.read(np.arange(times.size), size, size), strict=True):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = int(stamp), Fraction(1, ticks)
                file.mux(stream.encode(frame))
                advance()
            file.mux(stream.encode(None))

    write_atomically(path, write)


def write_study(folder: Path, seconds: float = _SECONDS, video: bool = True) -> None:
    """Write the whole study into a folder that is empty or not there, with a progress bar.

    Args:
        folder: where commands will find it; experiment and manifest name it as it is given here.
        seconds: length of each recording.
        video: whether there are videos.

    Raises:
        UserError: something is in the folder already, or it is a file.
        OSError: the disk is full or read-only.
    """
    import tempfile

    from core.durable import write_text
    from experiments.runtime.console import progress_bar

    _check_empty(folder)
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=folder))
    try:
        recordings = simulate(seconds=seconds, video=video)
        frames = sum(v.frame_times().size for recording in recordings for v in recording.videos)
        with progress_bar() as bar:
            task = bar.add_task(f"simulating {len(recordings)} patients", total=frames + len(recordings))
            write_recordings(unfinished, recordings, advance=lambda: bar.advance(task))
        write_text(unfinished / "experiment.yaml", experiment_text(folder.as_posix(), video))
        write_text(unfinished / "manifest.yaml", manifest_text(folder.as_posix(), video))
        for path in sorted(unfinished.iterdir(), key=lambda path: path.name == "manifest.yaml"):
            path.rename(folder / path.name)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _check_empty(folder: Path) -> None:
    from experiments.runtime.errors import UserError

    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: this is a file; expected a folder that is empty or not there")
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    # What an earlier call left that was killed is none of the user's.
    for name in [name for name in there if name.startswith(TEMPORARY)]:
        shutil.rmtree(folder / name, ignore_errors=True)
        there.remove(name)
    if there:
        more = f", ... ({len(there)} entries)" if len(there) > _LISTED else ""
        raise UserError(
            f"{folder}: the folder is not empty: {', '.join(there[:_LISTED])}{more}; expected one that is empty or not"
            " there; nothing was written"
        )


def _seconds(text: str) -> float:
    value = float(text)
    if not _SHORTEST_S <= value <= _LONGEST_S:
        raise argparse.ArgumentTypeError(f"{text}; expected {_SHORTEST_S:g} to {_LONGEST_S:g} seconds")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog=program(_COMMAND),
        description="Write a made-up study of four simulated patients: CSV, MP4, labels, manifest and experiment.",
        epilog="docs/guides/your-data.md leads on from there.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder that is empty or not there, e.g. study")
    parser.add_argument("--without-video", action="store_true", help="leave out the videos")
    parser.add_argument(
        "--seconds", type=_seconds, default=_SECONDS, help=f"length of each recording (default {_SECONDS:g})"
    )
    arguments = parser.parse_args(argv)

    def work() -> int:
        write_study(arguments.folder, arguments.seconds, not arguments.without_video)
        what = "motion and labels" if arguments.without_video else "motion, video and labels"
        print(f"{arguments.folder}: {what} of {_PATIENTS} simulated patients, {arguments.seconds:g} s each")
        print(f"next: python -m experiments.check_import {arguments.folder / 'manifest.yaml'}")
        return EXIT_OK

    return guarded(work, _COMMAND)


if __name__ == "__main__":
    sys.exit(main())
