"""A check of how a study is read: ``python -m experiments.check_import MANIFEST.yaml [--draw FILE.png]``.

Says in plain words what the manifest means and what was found by it, and looks for what can't be right: units, axes,
clocks, gaps, labels. Exit code 0: plausible; 1: problems, each with its likely cause. ``--draw`` puts the first window
of up to four recordings into a picture, frames above IMU traces: one look shows what no figure does. The clocks of
cameras and sensors are compared in some recordings; ``--clocks all`` takes every one, ``--clocks off`` none.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.runtime.command_line import EXIT_FAILED, EXIT_OK, guarded, program

if TYPE_CHECKING:
    from datamodules.recording import Recording
    from datamodules.sources.manifest import Manifest
    from datamodules.windows.cut import Window, WindowSettings
    from experiments.reports.manifest.clock_facts import ClockFacts
    from experiments.reports.manifest.facts import RecordingFacts
    from experiments.reports.manifest.remark import Remark
    from experiments.reports.preview.scene import Scene


_COMMAND = "experiments.check_import"
CLOCKS = ("some", "all", "off")
_DRAWN = 4
_WRAP = 40  # recordings that are listed one by one


def run(path: Path, settings: WindowSettings | None = None, clocks: str = "some") -> tuple[list[str], list[Remark]]:
    """Measure and judge all recordings of a manifest.

    Args:
        path: of the manifest.
        settings: how an experiment cuts windows; None for the defaults.
        clocks: of which recordings the clocks are compared, one of ``CLOCKS``.

    Returns:
        What to print, and the remarks.

    Raises:
        ManifestError: the manifest makes no sense, or a pattern matches nothing.
    """
    from datamodules.sources.manifest import Manifest, ManifestParams
    from datamodules.windows.cut import WindowSettings
    from experiments.reports.manifest.clock_remarks import describe_clocks, judge_clocks
    from experiments.reports.manifest.remark import Remark
    from experiments.reports.manifest.remarks import judge
    from experiments.reports.manifest.unmatched import unmatched_files
    from experiments.reports.manifest.words import activity_table, describe_group, describe_recording, window_table

    source = Manifest(ManifestParams(str(path)))
    settings = settings or WindowSettings()
    facts = [_measure(source, name, settings) for name in source.recordings]
    remarks = judge(source.spec, facts)
    lines = [f"{path}: study '{source.spec.name or path.stem}'{', simulated' if source.spec.simulated else ''}"]
    for name, group in source.groups.items():
        mine = [fact for fact in facts if fact.group == name]
        lines += describe_group(name, group.spec, mine)
        shown = mine if len(mine) <= _WRAP else mine[:_WRAP]
        for fact in shown:
            lines += describe_recording(fact)
        if len(shown) < len(mine):
            lines.append(f"  ... and {len(mine) - len(shown)} recordings more")
        orphans = group.orphans([r for r in source.recordings.values() if r.group == name])
        for orphan in orphans:
            allowed = group.spec.orphans == "allow"
            hint = "" if allowed else "; if that is right, set 'orphans: allow'"
            remarks.append(Remark(not allowed, f"{name}: {orphan} belongs to no IMU file{hint}"))
    if clocks != "off" and any(fact.videos for fact in facts):
        found = _compare_clocks(source, clocks == "all")
        lines += describe_clocks(found)
        remarks += judge_clocks(source.spec, found)
    usable = [fact for fact in facts if not fact.error]
    lines += activity_table(usable)
    lines += window_table(usable, settings)
    if usable and not any(sum(counts.kept.values()) for fact in usable for counts in fact.windows):
        remarks.append(Remark(True, "no window is kept: an experiment would have nothing to learn from"))
    if strange := unmatched_files(source):
        remarks.append(Remark(False, strange))
    return lines, remarks


def _compare_clocks(source: Manifest, all_recordings: bool) -> list[ClockFacts]:
    from experiments.reports.manifest.clock_facts import measure_clocks
    from experiments.runtime.console import progress_bar

    with progress_bar() as bar:
        task = bar.add_task("clocks", total=None)
        return measure_clocks(source, all_recordings, lambda done, total: bar.update(task, completed=done, total=total))


def _measure(source: Manifest, name: str, settings: WindowSettings) -> RecordingFacts:
    from datamodules.recording import RecordingError
    from experiments.reports.manifest.facts import RecordingFacts, measure

    files = source.recordings[name]
    try:
        return measure(source.load(name), files.group, settings)
    except RecordingError as error:
        return RecordingFacts(name, files.subject, files.group, error=str(error))


def draw(path: Path, picture: Path) -> int:
    """Draw the first whole window of each sensor and camera; returns how many were drawn.

    Args:
        path: of the manifest.
        picture: a .png file (or another that matplotlib writes).

    Raises:
        RecordingError: a video's frame can't be decoded.
    """
    from matplotlib.figure import Figure

    from datamodules.recording import RecordingError
    from datamodules.sources.manifest import Manifest, ManifestParams
    from datamodules.windows.checks import check_recording
    from experiments.reports.preview.scene import draw_scene
    from experiments.reports.shared.pictures import save_figure

    source = Manifest(ManifestParams(str(path)))
    scenes: list[Scene] = []
    for name in source.recordings:
        try:
            recording = source.load(name)
            check_recording(recording)
        except RecordingError:
            continue  # ``run`` has said why
        scenes += _scenes(recording)
        if len(scenes) >= _DRAWN:
            break
    scenes = scenes[:_DRAWN]
    if scenes:
        figure = Figure(figsize=(12, 5.6 * len(scenes)), layout="constrained")
        for part, scene in zip(figure.subfigures(len(scenes), 1, squeeze=False).flat, scenes, strict=True):
            draw_scene(scene, part)
        save_figure(figure, picture, dpi=80)
    return len(scenes)


def _scenes(recording: Recording) -> list[Scene]:
    """The first window of each sensor of a recording, above the frames of its first camera."""
    from datamodules.windows.cut import WindowSettings, cut_windows

    camera = recording.videos[0].camera if recording.videos else None
    settings = WindowSettings(frames=6 if camera else 0, exclude="")
    scenes = []
    for stream in recording.imus[:2]:
        windows, _ = cut_windows(recording, stream.placement, camera, settings)
        if windows:
            scenes.append(_scene(recording, windows[0], camera, settings))
    return scenes


def _scene(recording: Recording, window: Window, camera: str | None, settings: WindowSettings) -> Scene:
    import numpy as np

    from experiments.reports.preview.scene import Scene

    there = np.flatnonzero(window.frame_mask)
    frames = []
    if camera is not None and there.size:
        indices, back = np.unique(window.frame_indices[there], return_inverse=True)
        decoded = list(recording.video(camera).read(indices, settings.frame_size, settings.frame_size))
        frames = [(float(window.frame_times[i]), decoded[j]) for i, j in zip(there, back, strict=True)]
    note = ", simulated" if recording.simulated else ""
    title = (
        f"{recording.name}, {window.placement}, from {window.start_s:.2f} s: {window.activity or 'unlabelled'}{note}"
    )
    valid = window.sample_mask[:, None] & window.channel_mask
    return Scene(title, np.where(valid, window.imu, np.nan), settings.imu_rate_hz, settings.duration_s, frames)


def _window_settings(experiment: str) -> WindowSettings:
    from experiments.settings.load import load  # it imports torch, which tables do without

    return load(experiment).window


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog=program(_COMMAND), description="Say what a manifest means, and check it.")
    parser.add_argument("manifest", type=Path, help="the manifest's YAML file, see docs/guides/your-data.md")
    parser.add_argument("--draw", type=Path, metavar="FILE.png", help="draw the first windows above their frames")
    parser.add_argument("--experiment", metavar="NAME", help="count windows as this experiment cuts them")
    parser.add_argument(
        "--clocks",
        choices=CLOCKS,
        default=CLOCKS[0],
        help="compare the clocks of cameras and sensors in some recordings, up to four minutes of video a group "
        "(default), in all, or in none",
    )
    arguments = parser.parse_args(argv)

    def work() -> int:
        settings = _window_settings(arguments.experiment) if arguments.experiment else None
        lines, remarks = run(arguments.manifest, settings, arguments.clocks)
        print("\n".join(lines))
        if arguments.draw is not None:
            drawn = draw(arguments.manifest, arguments.draw)
            print(
                f"{arguments.draw}: {drawn} windows" if drawn else "nothing could be drawn: no recording has a window"
            )
        for remark in remarks:
            print(f"{'PROBLEM' if remark.problem else 'note'}: {remark.text}")
        problems = sum(remark.problem for remark in remarks)
        print(f"{problems} problem{'' if problems == 1 else 's'} found" if problems else "All plausible.")
        return EXIT_FAILED if problems else EXIT_OK

    return guarded(work, _COMMAND)


if __name__ == "__main__":
    sys.exit(main())
