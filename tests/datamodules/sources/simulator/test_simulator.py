"""The source: names, determinism, labels, settings."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from datamodules.recording import Recording, RecordingError
from datamodules.sources.registry import sources
from datamodules.sources.simulator import ACTIVITIES, Simulator, SimulatorParams
from datamodules.sources.simulator.people import make_person
from datamodules.sources.simulator.session import Session

SMALL: dict[str, Any] = {"subjects": 2, "sessions_per_subject": 2, "session_s": 40.0}


def _same(one: Recording, other: Recording) -> bool:
    indices = np.array([3, 400, 800])
    return (
        one.activities == other.activities
        and one.metadata == other.metadata
        and all(
            a.times.tobytes() == b.times.tobytes() and a.values.tobytes() == b.values.tobytes()
            for a, b in zip(one.imus, other.imus, strict=True)
        )
        and all(
            np.array_equal(list(a.read(indices, 24, 32)), list(b.read(indices, 24, 32)))
            for a, b in zip(one.videos, other.videos, strict=True)
        )
    )


def test_it_is_registered() -> None:
    entry = sources()["simulator"]
    assert entry.params is SimulatorParams
    assert isinstance(entry.create(SimulatorParams()), Simulator)


def test_params_are_a_structured_config() -> None:
    merged = OmegaConf.merge(OmegaConf.structured(SimulatorParams), {"population": "parkinson", "subjects": 3})
    params = OmegaConf.to_object(merged)
    assert isinstance(params, SimulatorParams)
    assert len(Simulator(params).names()) == 6


def test_loading_one_equals_iterating() -> None:
    everything = list(Simulator(SimulatorParams(**SMALL)))
    assert [r.name for r in everything] == ["sim_h_000_00", "sim_h_000_01", "sim_h_001_00", "sim_h_001_01"]
    assert _same(Simulator(SimulatorParams(**SMALL)).load("sim_h_001_00"), everything[2])
    assert not _same(everything[0], everything[1])
    assert not _same(everything[0], everything[2])


def test_a_subject_does_not_depend_on_how_many_there_are() -> None:
    alone = Simulator(SimulatorParams(subjects=1, first_subject=7, session_s=30.0)).load("sim_h_007_00")
    among = Simulator(SimulatorParams(subjects=20, session_s=30.0)).load("sim_h_007_00")
    assert _same(alone, among)


def test_placements_do_not_disturb_each_other() -> None:
    few = Simulator(SimulatorParams(placements=["chest"], cameras=[], session_s=20.0)).load("sim_h_000_00")
    many = Simulator(SimulatorParams(session_s=20.0)).load("sim_h_000_00")
    np.testing.assert_array_equal(few.imu("chest").values, many.imu("chest").values)
    assert not few.videos


def test_seeds_and_populations_are_other_people() -> None:
    heights = {make_person(seed, "healthy", n).body.height for seed in range(3) for n in range(5)}
    assert len(heights) == 15
    healthy, parkinson = make_person(0, "healthy", 3), make_person(0, "parkinson", 3)
    assert (healthy.subject, parkinson.subject) == ("sim_h_003", "sim_p_003")
    assert healthy.body.height != parkinson.body.height


@pytest.fixture(scope="module", params=["healthy", "parkinson"])
def sessions(request: pytest.FixtureRequest) -> list[Session]:
    simulator = Simulator(SimulatorParams(population=request.param, subjects=12, sessions_per_subject=1))
    return [simulator.session(name) for name in simulator.names()]


def test_labels_are_ordered_and_within_the_session(sessions: list[Session]) -> None:
    for session in sessions:
        assert {i.activity for i in session.activities} <= set(ACTIVITIES)
        for interval in session.activities:
            assert 0.0 <= interval.start < interval.end <= session.duration_s
        for one, other in zip(session.activities, session.activities[1:], strict=False):
            assert one.end <= other.start + 1e-9
        labelled = sum(i.end - i.start for i in session.activities)
        assert labelled > 0.8 * session.duration_s


def test_every_class_has_a_usable_share_of_windows(sessions: list[Session]) -> None:
    """Windows of 5 s of which one activity covers at least 60 %."""
    windows: Counter[str] = Counter()
    for session in sessions:
        for start in np.arange(0.0, session.duration_s - 4.9, 5.0):
            covered: defaultdict[str, float] = defaultdict(float)
            for i in session.activities:
                covered[i.activity] += max(0.0, min(i.end, start + 5.0) - max(i.start, start))
            activity, seconds = max(covered.items(), key=lambda item: item[1])
            if seconds >= 3.0:
                windows[activity] += 1
    total = sum(windows.values())
    assert total > 0.6 * 24 * len(sessions)
    for activity in ACTIVITIES:
        assert windows[activity] >= 0.02 * total, f"{activity}: {windows}"
    assert max(windows.values()) < 0.4 * total


def test_only_parkinsons_sessions_freeze(sessions: list[Session]) -> None:
    freezes = [f for s in sessions for f in s.freezes]
    if sessions[0].person.population == "healthy":
        assert not freezes
        return
    assert len(freezes) >= 3
    for session in sessions:
        for freeze in session.freezes:
            middle = 0.5 * (freeze.start + freeze.end)
            during = [i.activity for i in session.activities if i.start <= middle < i.end]
            assert during
            assert during[0] in ("walking", "turning")  # labelled as what it interrupts


def test_freezing_is_in_the_metadata() -> None:
    simulator = Simulator(SimulatorParams(population="parkinson", subjects=6, sessions_per_subject=1, cameras=[]))
    found = 0
    for name in simulator.names():
        text = str(simulator.load(name).metadata["freezing"])
        episodes = [tuple(map(float, part.split("-"))) for part in text.split(";") if part]
        expected = [(i.start, i.end) for i in simulator.freezing(name)]
        np.testing.assert_allclose(np.array(episodes), np.array(expected), atol=0.006)  # two decimals
        found += len(episodes)
    assert found


def test_recordings_say_that_they_are_simulated() -> None:
    recording = Simulator(SimulatorParams(population="parkinson", session_s=10.0)).load("sim_p_000_00")
    assert recording.simulated
    assert recording.population == "parkinson"
    assert recording.subject == "sim_p_000"
    assert recording.source == "simulator"
    assert {s.placement for s in recording.imus} == {
        "head",
        "chest",
        "right_wrist",
        "waist",
        "right_thigh",
        "right_ankle",
    }
    assert {v.camera for v in recording.videos} == {"head", "third_person"}
    for stream in recording.imus:
        assert np.all(np.diff(stream.times) > 0)
        assert np.isfinite(stream.values).all()


def test_wrong_settings_and_names_are_explained() -> None:
    with pytest.raises(ValueError, match=r"population is 'martian'.*healthy.*placements has \['tail'\]"):
        Simulator(SimulatorParams(population="martian", placements=["tail"]))
    with pytest.raises(ValueError, match="session_s is 0"):
        Simulator(SimulatorParams(session_s=0.0))
    with pytest.raises(RecordingError, match=r"'sim_h_099_00'.*sim_h_000_00"):
        Simulator(SimulatorParams()).load("sim_h_099_00")
