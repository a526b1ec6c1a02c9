import re
from collections.abc import Iterator
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from helpers.made_motion import DURATION_S, RATE_HZ, Motion, make_motion
from helpers.real_data import real_data

from datamodules.recording import ImuStream, Interval, Recording
from datamodules.signal import DEGREE, MILLI_G, G
from datamodules.sources.registry import sources
from datamodules.windows.cut import FAULTS, WindowSettings, cut_windows
from experiments.evaluation.audit.checks import (
    assert_no_duplicates,
    assert_no_shared_recordings,
    audit_target,
    audit_windows,
)
from experiments.evaluation.audit.shortcuts import LEAK, WARNING
from experiments.evaluation.splits import LeakError
from experiments.evaluation.targets import Target
from experiments.settings.evaluation import EvaluationConfig

MOTION = make_motion()
EACH = MOTION.sides()


def _audit(motion: Motion) -> list[Any]:
    return audit_windows(motion.table, motion.read, motion.sides(), RATE_HZ, DURATION_S)


def _copied(source: int = 3, shift: int = 125) -> Motion:
    """The last person's last window shows what window ``source`` does, half a window later."""
    imu = MOTION.imu.copy()
    imu[-1, : 250 - shift] = imu[source, shift:]
    return MOTION.but(imu=imu)


def test_clean_windows_pass() -> None:
    assert _audit(MOTION) == []


def test_a_copied_window_is_refused_by_name() -> None:
    motion = _copied()
    expected = r"recording r3 \(subject p0\) at 0.0 s and recording r119 \(subject p3\) at 0.0 s"
    with pytest.raises(LeakError, match=expected):
        assert_no_duplicates(motion.table, motion.read, EACH, RATE_HZ)
    (finding,) = _audit(motion)
    assert finding.severity == LEAK
    assert re.search(expected, finding.text)


def test_a_copied_person_is_told_in_a_few_words() -> None:
    imu = np.concatenate([MOTION.imu, MOTION.imu[:30]])
    table = {name: np.concatenate([column, column[:30]]) for name, column in MOTION.table.items()}
    table["subject"][-30:] = "p9"
    motion = Motion(table, imu, np.ones(imu.shape[:2], bool), np.ones((len(imu), 6), bool))
    with pytest.raises(LeakError, match=r"^30 windows show .* and 25 more pairs of recordings$"):
        assert_no_duplicates(motion.table, motion.read, motion.sides(), RATE_HZ)


def test_a_copy_within_a_person_is_refused_where_sides_share_people_and_only_there() -> None:
    motion = _copied()
    one_person = motion.with_columns(subject=np.full(120, "p0"))
    assert_no_duplicates(one_person.table, motion.read, [(np.arange(0), motion.windows)], RATE_HZ)
    sides = [(np.arange(60), np.arange(60, 120))]
    with pytest.raises(LeakError, match=r"recording r3 .* and recording r119"):
        assert_no_duplicates(one_person.table, motion.read, sides, RATE_HZ)
    with pytest.raises(LeakError, match=r"1 windows give labels and are tested, the first is recording r60"):
        assert_no_duplicates(MOTION.table, MOTION.read, [(np.arange(61), np.arange(60, 120))], RATE_HZ)


def test_a_recording_on_both_sides_is_refused() -> None:
    recording, start = MOTION.table["recording"].copy(), MOTION.table["start_s"].copy()
    recording[[7, 8]], start[[7, 8]] = "walk", [10.0, 17.5]
    table = {**MOTION.table, "recording": recording, "start_s": start}
    assert_no_shared_recordings(table, EACH, DURATION_S)
    assert_no_shared_recordings(table, [(np.array([7, 8]), np.arange(30, 60))], DURATION_S)
    # 7.5 s from start to start, of which the first window takes 5.
    with pytest.raises(LeakError, match=r"fold 0: 1 recordings .* recording walk \(subject p0\), 2.5 s apart"):
        assert_no_shared_recordings(table, [(np.array([1, 7]), np.array([8, 40]))], DURATION_S)


def test_recordings_of_one_name_by_two_people_are_two() -> None:
    table = {**MOTION.table, "recording": np.full(120, "trial_1")}
    assert_no_shared_recordings(table, EACH, DURATION_S)


def _target(motion: Motion) -> Target:
    """What the audit uses of a target."""
    folds = [SimpleNamespace(pool=pool, test=test) for pool, test in motion.sides()]
    settings = SimpleNamespace(imu_rate_hz=RATE_HZ, duration_s=DURATION_S)
    shards = SimpleNamespace(table=motion.table, imu=motion.read, settings=settings)
    return cast(Target, SimpleNamespace(name="made", shards=shards, folds=lambda evaluation: folds))


def test_a_target_that_leaks_is_refused_or_marked() -> None:
    imu = _copied().imu
    imu[:, -1, 4] = MOTION.labels
    leaking = _target(MOTION.but(imu=imu))
    with pytest.raises(LeakError, match=r"target 'made': .*same movement.*; .*tells 6 activities.*allow_leaks=true"):
        audit_target(leaking, EvaluationConfig())
    said = audit_target(leaking, EvaluationConfig(allow_leaks=True))
    assert [text.split(":")[0] for text in said] == ["a leak, allowed"] * 2


def test_a_target_with_doubtful_facts_says_so() -> None:
    motion = MOTION.with_columns(placement=np.where(MOTION.labels >= 3, "thigh", "wrist"))
    (said,) = audit_target(_target(motion), EvaluationConfig())
    assert "placement alone" in said
    assert audit_target(_target(MOTION), EvaluationConfig()) == []


def _utd_mhad() -> Iterator[Recording]:
    entry = sources()["utd_mhad"]
    source = entry.create(entry.params(root=str(real_data("utd-mhad")), subjects=["1", "2", "3", "4"]))
    return (source.load(name) for name in source.names())


def _simulator() -> Iterator[Recording]:
    entry = sources()["simulator"]
    source = entry.create(
        entry.params(subjects=4, sessions_per_subject=2, session_s=90, cameras=[], placements=["chest"])
    )
    return (source.load(name) for name in source.names())


def _sisfall() -> Iterator[Recording]:
    root = real_data("sisfall")
    for path in sorted(path for subject in ("SA01", "SA02", "SE06") for path in root.glob(f"{subject}/*.txt")):
        text = path.read_text(encoding="ascii", errors="replace").replace(";", ",")
        raw = np.array([number for number in text.replace("\n", ",").split(",") if number.strip()], float).reshape(
            -1, 9
        )
        values = raw[:, :6] * np.repeat([32 / 8192 * G, 4000 / 65536 * DEGREE], 3)
        activity, subject, _ = path.stem.split("_")
        times = np.arange(len(raw)) / 200
        yield Recording(
            path.stem, subject, (ImuStream(times, values, "waist"),), activities=(Interval(0, times[-1] + 1, activity),)
        )


def _daphnet() -> Iterator[Recording]:
    for path in sorted(real_data("daphnet").glob("trimmed_csv/S0[135]*.txt")):
        raw = np.loadtxt(path, delimiter=",", skiprows=1)
        raw = raw[np.diff(raw[:, 0], prepend=-np.inf) > 0]
        times, label = raw[:, 0] / 1000, raw[:, -1]
        values = np.full((len(raw), 6), np.nan)
        values[:, :3] = raw[:, 7:10] * MILLI_G
        cuts = [0, *np.flatnonzero(np.diff(label)) + 1, len(label)]
        activities = tuple(
            Interval(times[a], times[b - 1] + 1 / 64, "freeze" if label[a] == 2 else "walk") for a, b in pairwise(cuts)
        )
        yield Recording(path.stem, path.stem[:3], (ImuStream(times, values, "trunk"),), activities=activities)


def _motion(recordings: Iterator[Recording], settings: WindowSettings) -> Motion:
    """Labelled windows as shards would hold them."""
    cut = [window for recording in recordings for window in cut_windows(recording, "any", None, settings)[0]]
    cut = [window for window in cut if window.activity]
    columns = ("subject", "recording", "placement", "activity", "start_s")
    table = {name: np.array([getattr(window, name) for window in cut]) for name in columns}
    table["faults"] = np.array([sum(1 << FAULTS.index(fault) for fault in window.faults) for window in cut])
    imu, samples, channels = (
        np.stack([getattr(w, name) for w in cut]) for name in ("imu", "sample_mask", "channel_mask")
    )
    return Motion(table, imu, samples, channels)


MARKED = "gap,nan,flat_line,gravity"
REAL = {
    "utd_mhad": (_utd_mhad, WindowSettings(frames=0, layout="centred", exclude=MARKED), 27, "placement"),
    "sisfall": (_sisfall, WindowSettings(frames=0, exclude=MARKED), 32, "the recording's length"),
    "daphnet": (_daphnet, WindowSettings(frames=0), 2, ""),
    "simulator": (_simulator, WindowSettings(frames=0), 0, ""),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_real_and_simulated_sets_have_no_leak_and_planted_ones_are_caught(name: str) -> None:
    load, settings, classes, warned_of = REAL[name]
    motion = _motion(load(), settings)
    findings = _audit(motion)
    assert [finding.severity for finding in findings] in ([], [WARNING])
    assert not classes or motion.labels.max() + 1 == classes
    if warned_of:
        assert f"{warned_of} alone" in findings[0].text

    others = np.flatnonzero(motion.people != motion.people[0])
    moving = others[motion.imu[others, :, :3].std(axis=1).mean(axis=1) > 1][:20]
    copied = motion.imu.copy()
    for target, source in enumerate(moving):
        copied[target] = np.where(motion.samples[source, :, None], motion.imu[source], 0)
    samples = motion.samples.copy()
    samples[: len(moving)] = motion.samples[moving]
    labelled = motion.imu.copy()
    labelled[:, 137, 4] = motion.labels / 1000
    channels = np.ones((len(labelled), 6), bool)  # Daphnet has no gyroscope of its own
    for planted, expected in (
        (motion.but(imu=copied, samples=samples), "the same movement"),
        (motion.but(imu=labelled, channels=channels), "gy alone tells"),
    ):
        leaks = [finding.text for finding in _audit(planted) if finding.severity == LEAK]
        assert len(leaks) == 1
        assert expected in leaks[0]
