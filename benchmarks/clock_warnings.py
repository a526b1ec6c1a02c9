"""Shares of clocks that are told, rightly and wrongly, on short recordings: planted offsets and unrelated sensors.

    python -m benchmarks.clock_warnings [--subjects 12] [--first 507] [--cache FOLDER] ...

Prints Markdown. A simulated minute of each subject is cut into parts of 10, 30 and 60 s, seen by a head camera and by
one that looks on. Each part is compared with

own          its own sensor, moved by 0, 0.3, 0.7 or 1.5 s to either side; right within 100 ms
same time    the next subject's sensor at the same time: most sessions end in a fall at about the same second
other time   the next subject's sensor at another time
too far      its own sensor, moved by 4 s or more, which is beyond the search
shuffled     its own sensor, with its seconds in another order
still        a sensor that lies still

Whatever is told of all but the first is wrong. GoPro's clip is compared with its own sensor in the same way, and with
sensors of other data sets. Trials of UTD-MHAD are compared as one, twenty at a time, each with its own sensor and with
that of the next trial. ``--cache`` keeps what was seen in the rendered frames, the costly part.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from datamodules.clock_sync import ClockEstimate, ClockSettings, shifted
from datamodules.clock_sync.estimate import compare, measure_chosen
from datamodules.clock_sync.motion_signals import SeenMotion
from datamodules.clock_sync.pooling import compare_pooled
from datamodules.recording import ImuStream
from datamodules.sources.action_camera import ActionCamera, ActionCameraParams
from datamodules.sources.registry import make_source
from datamodules.sources.simulator import Simulator, SimulatorParams
from datamodules.sources.utd_mhad import UtdMhad, UtdMhadParams

RIGHT_S = 0.1
CAMERAS = ("head", "third_person")
PLACES = ("head", "right_wrist", "waist")
PARTS = ((10.0, (0.0, 30.0)), (30.0, (20.0,)), (60.0, (0.0,)))
PLANTED_S = (-1.5, -0.7, -0.3, 0.0, 0.3, 0.7, 1.5)
TOO_FAR_S = 4.0
SESSION_S = 60.0
SETTINGS = ClockSettings()
POOLED = 20  # trials
REAL = ("sisfall", "weda_fall", "sp_sw_har")


@dataclasses.dataclass(frozen=True)
class Minute:
    """What both cameras saw of a subject, and what its sensors measured."""

    name: str
    seen: dict[str, SeenMotion]
    sensors: dict[str, ImuStream]


@dataclasses.dataclass(frozen=True)
class Case:
    """One judged pair; ``error_s`` is None for a pair of which nothing right can be told."""

    camera: str
    place: str
    length_s: float
    kind: str
    error_s: float | None
    estimate: ClockEstimate

    @property
    def told(self) -> bool:
        """True if an offset is told."""
        return self.estimate.certainty != "unknown"

    @property
    def wrong(self) -> bool:
        """True if the told offset is wrong."""
        return self.told and (self.error_s is None or abs(self.error_s) > RIGHT_S)


def minutes(first: int, subjects: int, cache: Path | None) -> Iterator[Minute]:
    """Render a minute of each subject, or take it from the cache."""
    params = SimulatorParams(
        seed=11,
        subjects=subjects,
        first_subject=first,
        sessions_per_subject=1,
        session_s=SESSION_S,
        placements=list(PLACES),
        cameras=list(CAMERAS),
        max_clock_offset_s=0.0,
    )
    simulator = Simulator(params)
    for name in simulator.names():
        path = cache / f"{name}.npz" if cache else None
        if path and path.is_file():
            with np.load(path) as kept:
                seen = {c: SeenMotion(*(kept[f"{c}_{k}"] for k in ("times", "flow", "speed"))) for c in CAMERAS}
                sensors = {p: ImuStream(kept[f"{p}_imu_times"], kept[f"{p}_imu_values"], p) for p in PLACES}
            yield Minute(name, seen, sensors)
            continue
        recording = simulator.load(name)
        seen = {}
        for video in recording.videos:
            seen[video.camera] = measure_chosen(video, SETTINGS)
        sensors = {place: recording.imu(place) for place in PLACES}
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            arrays = {f"{c}_{k}": getattr(s, k) for c, s in seen.items() for k in ("times", "flow", "speed")}
            arrays |= {f"{p}_imu_times": s.times for p, s in sensors.items()}
            arrays |= {f"{p}_imu_values": s.values for p, s in sensors.items()}
            np.savez(path, **arrays)
        yield Minute(name, seen, sensors)


def cut(stream: ImuStream, begin: float, length: float, to: float | None = None) -> ImuStream:
    """Cut out a part, and move it to begin at ``to``."""
    inside = (stream.times >= begin) & (stream.times < begin + length)
    moved = stream.times[inside] + (0.0 if to is None else to - begin)
    return dataclasses.replace(stream, times=moved, values=stream.values[inside])


def shuffle(stream: ImuStream, order: np.random.Generator) -> ImuStream:
    """Put the seconds of a part in another order."""
    second = round(1 / float(np.median(np.diff(stream.times))))
    blocks = np.arange(len(stream.times) // second * second).reshape(-1, second)
    places: NDArray[np.int64] = blocks[order.permutation(len(blocks))].ravel()
    return dataclasses.replace(stream, times=stream.times[: places.size], values=stream.values[places])


def still(stream: ImuStream, noise: np.random.Generator) -> ImuStream:
    """Replace a part by a sensor that lies on a table, with a usual sensor's noise."""
    values = noise.normal(size=stream.values.shape) * np.repeat([0.02, 0.002], 3) + np.array([0, 0, 9.81, 0, 0, 0])
    return dataclasses.replace(stream, values=values)


def pairs_of(
    own: Minute, stranger: Minute, place: str, length: float, begin: float, seed: int
) -> Iterator[tuple[str, float | None, ImuStream]]:
    """Yield kind, planted offset and sensor of all comparisons of one part."""
    rng = np.random.default_rng(seed)
    mine, other = own.sensors[place], stranger.sensors[place]
    planted = float(rng.choice(PLANTED_S))
    yield "own", planted, shifted(cut(mine, begin, length), -planted)
    yield "same time", None, cut(other, begin, length)
    elsewhere = [at for at in np.arange(0, SESSION_S - length + 0.1, 2.5) if abs(at - begin) >= TOO_FAR_S]
    if elsewhere:
        at = float(rng.choice(elsewhere))
        yield "too far", None, cut(mine, at, length, begin)
        yield "other time", None, cut(other, at, length, begin)
    yield "shuffled", None, shuffle(cut(mine, begin, length), rng)
    if length == PARTS[0][0]:
        yield "still", None, still(cut(mine, begin, length), rng)


def simulated(first: int, subjects: int, cache: Path | None) -> list[Case]:
    """Judge all pairs of the simulated subjects."""
    cases: list[Case] = []
    before: Minute | None = None
    for k, minute in enumerate(minutes(first, subjects + 1, cache)):
        if before is not None:
            for camera in CAMERAS:
                for place in PLACES:
                    for length, begins in PARTS:
                        for begin in begins:
                            seen = part_of(before.seen[camera], begin, length)
                            seed = hash((k, camera == "head", PLACES.index(place), length, begin))
                            for kind, planted, stream in pairs_of(before, minute, place, length, begin, abs(seed)):
                                found = compare(seen, stream, before.name, camera, SETTINGS)
                                error = None if planted is None else found.offset_s - planted
                                cases.append(Case(camera, place, length, kind, error, found))
        before = minute
    return cases


def part_of(seen: SeenMotion, begin: float, length: float) -> SeenMotion:
    """Cut out a part."""
    inside = (seen.times >= begin) & (seen.times < begin + length)
    return SeenMotion(seen.times[inside], seen.flow[inside], seen.speed[inside])


def own_table(cases: Sequence[Case]) -> list[str]:
    """Tabulate own pairs: how often the offset is told, and how often wrongly."""
    lines = [
        "| camera | sensor | seconds | right peak | certain | likely "
        "| told, but wrong | warned, of those off by over 0.1 s |",
        "| --- | --- |" + " ---: |" * 6,
    ]
    for camera in CAMERAS:
        for place in PLACES:
            for length, _ in PARTS:
                mine = [c for c in cases if (c.camera, c.place, c.length_s, c.kind) == (camera, place, length, "own")]
                if not mine:
                    continue
                right = sum(c.error_s is not None and abs(c.error_s) <= RIGHT_S for c in mine)
                certain = sum(c.estimate.certainty == "certain" for c in mine)
                likely = sum(c.estimate.certainty == "likely" for c in mine)
                off = [c for c in mine if abs(c.estimate.offset_s - (c.error_s or 0.0)) > RIGHT_S]
                warned = sum(c.told and not c.wrong for c in off)
                lines.append(
                    f"| {camera} | {place} | {length:g} | {right} of {len(mine)} | {certain} | {likely} "
                    f"| {sum(c.wrong for c in mine)} | {warned} of {len(off)} |"
                )
    return lines


def wrong_table(cases: Sequence[Case]) -> list[str]:
    """Tabulate how often something wrong is told, with the 95 % interval of the share (Clopper and Pearson)."""
    lines = ["| pair | compared | told | share, % | 95 % interval |", "| --- |" + " ---: |" * 4]
    kinds = list(dict.fromkeys(c.kind for c in cases))
    for kind, mine in [(k, [c for c in cases if c.kind == k]) for k in kinds] + [("all", list(cases))]:
        wrong = sum(c.wrong for c in mine)
        interval = stats.binomtest(wrong, len(mine)).proportion_ci(method="exact")
        name = "own, told wrongly" if kind == "own" else kind
        lines.append(
            f"| {name} | {len(mine)} | {wrong} | {100 * wrong / len(mine):.1f} "
            f"| {100 * interval.low:.1f} to {100 * interval.high:.1f} |"
        )
    return lines


def gopro(path: Path, others: Path | None, count: int) -> list[str]:
    """Judge GoPro's clip, with its own sensor moved and with sensors of other people."""
    recording = ActionCamera(ActionCameraParams([str(path)])).load(path.stem)
    video, own = recording.videos[0], recording.imus[0]
    seen, times = measure_chosen(video, SETTINGS), video.frame_times()
    lines = ["| moved by, s | offset, ms | confidence | margin | told |", "| ---: | ---: | ---: | ---: | --- |"]
    for planted in PLANTED_S:
        found = compare(seen, shifted(own, -planted), path.stem, video.camera, SETTINGS)
        lines.append(
            f"| {0.0 - planted:+.1f} | {1000 * found.offset_s:+.0f} | {found.confidence:.2f} | {found.margin:.2f} "
            f"| {found.certainty} |"
        )
    length = float(times[-1])
    for name in REAL if others else ():
        folder = (others or path) / name.replace("_", "-")
        if not folder.is_dir():
            continue
        cases = []
        source = make_source(name, {"root": str(folder)})
        names = source.names()
        for one in names[:: max(1, len(names) // count)]:
            for stream in source.load(one).imus:
                if stream.times[-1] - stream.times[0] >= length:
                    # The middle, where trials move.
                    begin = float((stream.times[0] + stream.times[-1] - length) / 2)
                    found = compare(seen, cut(stream, begin, length, 0.0), one, video.camera, SETTINGS)
                    cases.append(Case(video.camera, stream.placement, length, name, None, found))
        if cases:
            lines += ["", *wrong_table(cases)[:-1]]
    return lines


def utd_mhad(root: Path, every: int) -> list[str]:
    """Judge pools of UTD-MHAD's trials, whose clocks are believed to agree."""
    source = UtdMhad(UtdMhadParams(str(root)))
    trials: list[tuple[SeenMotion, ImuStream]] = []
    for name in source.names()[::every]:
        recording = source.load(name)
        trials.append((measure_chosen(recording.videos[0], SETTINGS), recording.imus[0]))
    lines = [
        "| trials | own: offset, ms | confidence | margin | told "
        "| next trial's: offset, ms | confidence | margin | told |",
        "| --- |" + " ---: | ---: | ---: | --- |" * 2,
    ]
    for first in range(0, len(trials) - POOLED + 1, POOLED):
        own = trials[first : first + POOLED]
        strangers = [(seen, own[(k + 1) % POOLED][1]) for k, (seen, _) in enumerate(own)]
        cells = []
        for pairs in (own, strangers):
            found = compare_pooled(pairs, "pool", "depth", SETTINGS)
            cells.append(
                f"{1000 * found.offset_s:+.0f} | {found.confidence:.2f} | {found.margin:.2f} | {found.certainty}"
            )
        lines.append(f"| {first + 1} to {first + POOLED} | {' | '.join(cells)} |")
    return lines


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark from the command line; prints Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--subjects", type=int, default=12, help="simulated subjects; 0 leaves them out")
    parser.add_argument("--first", type=int, default=507, help="number of the first subject")
    parser.add_argument("--cache", type=Path, help="folder that keeps what was seen in the rendered frames")
    parser.add_argument("--gopro", type=Path, default=Path("../shared/data/gopro/max-heromode.mp4"))
    parser.add_argument("--others", type=Path, default=Path("../shared/data"), help="folder of other data sets")
    parser.add_argument("--utd", type=Path, default=Path("../shared/data/utd-mhad"))
    parser.add_argument("--every", type=int, default=7, help="of UTD-MHAD's trials, only every so many")
    parser.add_argument("--count", type=int, default=60, help="recordings of each other data set, about")
    arguments = parser.parse_args(argv)
    started = time.monotonic()
    if arguments.gopro.is_file():
        print("\n".join(gopro(arguments.gopro, arguments.others, arguments.count)), end="\n\n", flush=True)
    if arguments.utd.is_dir():
        print("\n".join(utd_mhad(arguments.utd, arguments.every)), end="\n\n", flush=True)
    if arguments.subjects:
        cases = simulated(arguments.first, arguments.subjects, arguments.cache)
        print("\n".join([*own_table(cases), "", *wrong_table(cases)]), end="\n\n")
    print(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
