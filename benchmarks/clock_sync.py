"""Accuracy of estimated clock offsets between camera and sensor, on simulated and real recordings.

    python -m benchmarks.clock_sync [--subjects 12] [--long 2] [--gopro FILE] [--utd FOLDER] [--picture FILE]

Prints Markdown. The simulated recordings are a minute of each subject, with offsets within +-2 s and drift within 50
ppm. There is a head camera and an onlooking one, and sensors at several places. An estimate is right within 100 ms. For
the ROC, as many unrelated pairs are judged (with the next subject's sensor), which can't be right. That is a hard test:
most simulated sessions end in a fall at about the same second. ``--long`` adds half-hour recordings for the drift. The
real recordings are GoPro's clip, with its IMU moved by -1.5 to 1.5 s, and UTD-MHAD as it is. ``--picture`` draws the
ROC and the error over the length.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.clock_figure import Judged, draw
from datamodules.clock_sync import ClockSettings, shifted
from datamodules.clock_sync.estimate import choose_frames, compare
from datamodules.clock_sync.motion_signals import SeenMotion, measure_video
from datamodules.recording import Recording
from datamodules.sources.action_camera import ActionCamera, ActionCameraParams
from datamodules.sources.simulator import Simulator, SimulatorParams
from datamodules.sources.utd_mhad import UtdMhad, UtdMhadParams

RIGHT_S = 0.1
PLACES = ("head", "right_wrist", "waist")
SHORTER = (("head", "head"), ("third_person", "right_wrist"))  # pairs that are also judged from shorter stretches
LENGTHS_S = (10, 20, 40)
SESSION_S = 60.0
SETTINGS = ClockSettings(max_offset_s=2.1)


def seen_by(recording: Recording, camera: str) -> tuple[SeenMotion, float]:
    """Measure the motion that a camera saw, and the seconds of work per minute of video."""
    video = recording.video(camera)
    times = video.frame_times()
    started = time.process_time()
    seen = measure_video(video, times, choose_frames(times, SETTINGS))
    return seen, (time.process_time() - started) * 60 / max(1e-9, len(seen.times) * float(np.median(np.diff(times))))


def auc(right: list[bool], confidence: list[float]) -> str:
    """Compute the area under the ROC of the confidence, for right against wrong estimates."""
    return f"{roc_auc_score(right, confidence):.3f}" if len(set(right)) == 2 else "-"


def part_of(seen: SeenMotion, length_s: float) -> SeenMotion:
    """Cut out that many seconds, from the tenth second on."""
    inside = (seen.times >= 10) & (seen.times < 10 + length_s)
    return SeenMotion(seen.times[inside], seen.flow[inside], seen.speed[inside])


def simulated(subjects: int, picture: Path | None) -> list[str]:
    """Judge simulated recordings with both cameras and several sensors."""
    params = SimulatorParams(
        seed=11,
        subjects=subjects,
        first_subject=500,
        sessions_per_subject=1,
        session_s=SESSION_S,
        placements=list(PLACES),
        max_clock_offset_s=2.0,
        max_clock_drift_ppm=50.0,
    )
    simulator = Simulator(params)
    recordings = list(simulator)
    lines = [
        "| camera | sensor | median error, ms | 90 % below, ms | bias, ms | within 100 ms | certain "
        "| certain, but wrong | unrelated, but certain | AUC of the confidence, own pairs | with unrelated pairs |",
        "| --- | --- |" + " ---: |" * 9,
    ]
    costs = []
    judged: list[Judged] = []
    for camera in ("head", "third_person"):
        seen = []
        for recording in recordings:
            one, cost = seen_by(recording, camera)
            seen.append(one)
            costs.append(cost)
        for place in PLACES:
            errors, confidences, certain_of, strangers = [], [], [], []
            for k, recording in enumerate(recordings):
                stream = recording.imu(place)
                for length in (*(LENGTHS_S if (camera, place) in SHORTER else ()), SESSION_S):
                    shown = seen[k] if length == SESSION_S else part_of(seen[k], length)
                    found = compare(shown, stream, recording.name, camera, SETTINGS)
                    drift = 1e-6 * simulator.true_clock_drift_ppm(recording.name)
                    truth = simulator.true_clock_offset(recording.name) + drift * found.reference_s
                    error = found.offset_s - truth if math.isfinite(found.offset_s) else math.inf
                    judged.append(Judged(camera, place, float(length), error, found.confidence, found.certain))
                errors.append(error)
                confidences.append(found.confidence)
                certain_of.append(found.certain)
                other = recordings[(k + 1) % len(recordings)].imu(place)
                stranger = compare(seen[k], other, recording.name, camera, SETTINGS)
                strangers.append(stranger)
                judged.append(Judged(camera, place, SESSION_S, None, stranger.confidence, stranger.certain))
            off = np.abs(errors)
            right = [bool(e <= RIGHT_S) for e in off]
            certain, unrelated = np.array(certain_of), [one.confidence for one in strangers]
            columns = [
                f"{1000 * float(np.median(off)):.1f}",
                f"{1000 * float(np.quantile(off, 0.9)):.0f}",
                f"{1000 * float(np.median(errors)):+.0f}",
                f"{sum(right)} of {len(right)}",
                f"{certain.sum()}",
                f"{int((certain & ~np.array(right)).sum())}",
                f"{sum(one.certain for one in strangers)} of {len(unrelated)}",
                auc(right, confidences),
                auc(right + [False] * len(unrelated), confidences + unrelated),
            ]
            lines.append(f"| {camera} | {place} | {' | '.join(columns)} |")
    if picture:
        draw(judged, SESSION_S, RIGHT_S).savefig(picture, dpi=90)
    return [
        *lines,
        "",
        *shorter(judged),
        "",
        f"{subjects} subjects, a minute each; processing a minute of video took {np.median(costs):.1f} s of one core, "
        "most of it rendering. SIMULATED",
    ]


def shorter(judged: Sequence[Judged]) -> list[str]:
    """Tabulate estimates from shorter stretches, for pairs of one subject."""
    lines = ["| camera | sensor | seconds | median error, ms | right | certain | certain, but wrong |"]
    lines.append("| --- | --- |" + " ---: |" * 5)
    for camera, place in SHORTER:
        for length in (*LENGTHS_S, SESSION_S):
            chosen = [one for one in judged if (one.camera, one.place, one.length_s) == (camera, place, length)]
            errors = np.array([abs(one.error_s) for one in chosen if one.error_s is not None])
            certain = np.array([one.certain for one in chosen if one.error_s is not None])
            right = errors <= RIGHT_S
            lines.append(
                f"| {camera} | {place} | {length:g} | {1000 * float(np.median(errors)):.1f} "
                f"| {right.sum()} of {right.size} | {certain.sum()} | {(certain & ~right).sum()} |"
            )
    return lines


def long_recordings(count: int) -> list[str]:
    """Judge recordings of half an hour, with head camera and sensor."""
    params = SimulatorParams(
        seed=12,
        subjects=count,
        first_subject=600,
        sessions_per_subject=1,
        session_s=1800.0,
        placements=["head"],
        cameras=["head"],
        max_clock_offset_s=2.0,
        max_clock_drift_ppm=50.0,
    )
    simulator = Simulator(params)
    lines = ["| recording | true drift, ppm | found, ppm | offset's error, ms |", "| --- |" + " ---: |" * 3]
    for recording in simulator:
        seen, _ = seen_by(recording, "head")
        found = compare(seen, recording.imu("head"), recording.name, "head", SETTINGS)
        drift = simulator.true_clock_drift_ppm(recording.name)
        truth = simulator.true_clock_offset(recording.name) + 1e-6 * drift * found.reference_s
        lines.append(
            f"| {recording.name} | {drift:+.1f} | {found.drift_ppm:+.1f} +- {found.drift_error_ppm:.1f} "
            f"| {1000 * (found.offset_s - truth):+.1f} |"
        )
    return [*lines, "", "Half an hour each. SIMULATED"]


def gopro(path: Path) -> list[str]:
    """Judge GoPro's clip with its own IMU, moved in time."""
    recording = ActionCamera(ActionCameraParams([str(path)])).load(path.stem)
    seen, cost = seen_by(recording, "action_camera")
    moves = np.arange(-15, 16) / 10
    found = [compare(seen, shifted(recording.imus[0], m), path.stem, "action_camera", SETTINGS) for m in moves.tolist()]
    errors = 1000 * (np.array([f.offset_s for f in found]) + moves)
    return [
        f"{path.name}, IMU moved by -1.5 to 1.5 s in steps of 0.1: errors from {errors.min():+.0f} to "
        f"{errors.max():+.0f} ms, confidence at least {min(f.confidence for f in found):.3f}; looking at a minute of "
        f"video takes {cost:.1f} s of one core, decoding included."
    ]


def utd_mhad(root: Path, every: int) -> list[str]:
    """Judge the short trials of UTD-MHAD, whose clocks are believed to agree."""
    source = UtdMhad(UtdMhadParams(str(root)))
    settings = ClockSettings(max_offset_s=1.0)
    offsets, confidences, correlations, told = [], [], [], []
    for name in source.names()[::every]:
        recording = source.load(name)
        seen, _ = seen_by(recording, "depth")
        found = compare(seen, recording.imus[0], name, "depth", settings)
        if math.isfinite(found.offset_s):
            offsets.append(found.offset_s)
            confidences.append(found.confidence)
            told.append(found.certain)
            correlations.append(found.correlation)
    away = np.array(offsets)
    certain = np.array(told)
    near = [bool(v) for v in np.abs(away) <= RIGHT_S]
    text = (
        f"UTD-MHAD, {len(away)} trials of 2 to 6 s, offsets within +-1 s: {np.mean(near):.2f} within 100 ms of zero, "
        f"median of the offset's size {1000 * float(np.median(np.abs(away))):.0f} ms; certain are {certain.sum()}"
    )
    if certain.any():
        text += (
            f", of which {np.mean(np.abs(away[certain]) <= RIGHT_S):.2f} within 100 ms, "
            f"median {1000 * float(np.median(away[certain])):+.0f} ms"
        )
    return [
        text + f". AUC of the confidence {auc(near, confidences)}; median correlation {np.median(correlations):.2f}."
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark from the command line; prints Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--subjects", type=int, default=12, help="simulated subjects, at least two; 0 leaves them out")
    parser.add_argument("--long", type=int, default=0, help="simulated half-hour recordings")
    parser.add_argument("--gopro", type=Path, default=Path("../shared/data/gopro/max-heromode.mp4"))
    parser.add_argument("--utd", type=Path, default=Path("../shared/data/utd-mhad"))
    parser.add_argument("--picture", type=Path, help="PNG of the simulated part")
    parser.add_argument("--every", type=int, default=5, help="of UTD-MHAD's trials, only every so many")
    arguments = parser.parse_args(argv)
    parts: list[Callable[[], list[str]]] = []
    if arguments.gopro.is_file():
        parts.append(lambda: gopro(arguments.gopro))
    if arguments.subjects >= 2:
        parts.append(lambda: simulated(arguments.subjects, arguments.picture))
    if arguments.long:
        parts.append(lambda: long_recordings(arguments.long))
    if arguments.utd.is_dir():
        parts.append(lambda: utd_mhad(arguments.utd, arguments.every))
    for part in parts:
        print("\n".join(part()), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
