"""Healthy gait is gait, and Parkinson's signs are there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.signal import find_peaks, welch

from datamodules.sources.simulator import Simulator, SimulatorParams
from datamodules.sources.simulator.body import CHANNEL
from datamodules.sources.simulator.imu_model import ideal, sensor_pose
from datamodules.sources.simulator.people import make_person
from datamodules.sources.simulator.session import Session
from datamodules.sources.simulator.timeline import MARGIN_S, RATE_HZ


@dataclass(frozen=True)
class Measured:
    """Of straight walking."""

    speed: float
    step_length: float
    cadence: float
    arm_swing: float


def _channel(session: Session, name: str) -> np.ndarray:
    return session.channels[CHANNEL[name]]


def _measure(session: Session) -> Measured | None:
    speeds, steps, seconds, swings = [], [], 0.0, []
    for interval in session.activities:
        if interval.activity != "walking" or interval.end - interval.start < 4.0:
            continue
        if any(f.end > interval.start and f.start < interval.end for f in session.freezes):
            continue
        first, last = (round((t + MARGIN_S) * RATE_HZ) for t in (interval.start + 0.8, interval.end - 1.2))
        x, y = _channel(session, "pelvis_x")[first:last], _channel(session, "pelvis_y")[first:last]
        path = np.hypot(np.diff(x[::25]), np.diff(y[::25])).sum()
        lifts = []
        for side in ("left", "right"):
            peaks, _ = find_peaks(_channel(session, f"{side}_foot_z")[first:last], prominence=0.01, distance=100)
            lifts.append(len(peaks))
        count = sum(lifts)
        if count < 3:
            continue
        duration = (last - first) / RATE_HZ
        speeds.append(path / duration)
        steps.append(path / count)
        seconds += duration / count
        swings.append(np.ptp(_channel(session, "left_shoulder_flexion")[first:last]))
    if not speeds:
        return None
    return Measured(
        float(np.mean(speeds)),
        float(np.mean(steps)),
        60.0 * len(speeds) / seconds,
        float(np.mean(swings)),
    )


@pytest.fixture(scope="module")
def populations() -> dict[str, list[Session]]:
    found = {}
    for population in ("healthy", "parkinson"):
        simulator = Simulator(SimulatorParams(population=population, subjects=10, sessions_per_subject=1))
        found[population] = [simulator.session(name) for name in simulator.names()]
    return found


def test_parkinsons_gait_is_short_slow_and_stiff(populations: dict[str, list[Session]]) -> None:
    means = {}
    for population, sessions in populations.items():
        all_measured = [m for m in map(_measure, sessions) if m is not None]
        assert len(all_measured) >= 5
        means[population] = {
            name: np.mean([getattr(m, name) for m in all_measured])
            for name in ("speed", "step_length", "cadence", "arm_swing")
        }
    healthy, parkinson = means["healthy"], means["parkinson"]
    assert 0.5 < healthy["step_length"] < 0.8  # metres, with curves
    assert 85 < healthy["cadence"] < 130  # steps/min
    assert 0.8 < healthy["speed"] < 1.5  # m/s
    assert parkinson["step_length"] < 0.8 * healthy["step_length"]
    assert parkinson["speed"] < 0.75 * healthy["speed"]
    assert parkinson["arm_swing"] < 0.6 * healthy["arm_swing"]


def test_parkinsons_people_stoop_and_are_slow() -> None:
    people = {p: [make_person(0, p, n) for n in range(30)] for p in ("healthy", "parkinson")}
    for sign, factor in (("stoop", 3.0), ("tempo", 1.3)):
        healthy, parkinson = (np.mean([getattr(x, sign) for x in people[p]]) for p in ("healthy", "parkinson"))
        assert parkinson > factor * healthy
    assert np.mean([x.gait.cadence for x in people["parkinson"]]) < np.mean([x.gait.cadence for x in people["healthy"]])


def _rest_spectrum(session: Session, simulator: Simulator, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Power of the wrist's angular rate while sitting, standing or lying."""
    seat = simulator.mount(name, "right_wrist")
    rates = ideal(*sensor_pose(seat, session.person.body, session.channels))[:, 3:]
    power, total, frequencies = np.zeros(513), 0, np.zeros(513)
    for interval in session.activities:
        if interval.activity in ("sitting", "standing", "lying") and interval.end - interval.start > 4.5:
            first, last = (round((t + MARGIN_S) * RATE_HZ) - 2 for t in (interval.start, interval.end))
            frequencies, density = welch(rates[first:last], RATE_HZ, nperseg=1024, axis=0)
            power += density.sum(axis=1)
            total += 1
    assert total
    return frequencies, power / total


@pytest.mark.parametrize("population", ["healthy", "parkinson"])
def test_rest_tremor_of_4_to_6_hz_at_the_wrist(population: str) -> None:
    simulator = Simulator(SimulatorParams(population=population, subjects=4, sessions_per_subject=1))
    for name in simulator.names():
        session = simulator.session(name)
        frequencies, power = _rest_spectrum(session, simulator, name)
        band = (frequencies >= 3.7) & (frequencies <= 6.3)
        beside = (frequencies > 7.0) & (frequencies < 10.0)
        ratio = power[band].max() / power[beside].max()
        upper = frequencies >= 2.5
        if population == "parkinson":
            assert ratio > 100.0
            peak = frequencies[upper][power[upper].argmax()]
            assert session.person.parkinson is not None
            assert peak == pytest.approx(session.person.parkinson.tremor_hz, abs=0.4)  # resolution 0.24 Hz
        else:
            assert power[band].sum() * frequencies[1] < 0.01  # (rad/s)^2: below 6 deg/s


def test_freezing_stops_the_way_and_trembles(populations: dict[str, list[Session]]) -> None:
    seen = 0
    for session in populations["parkinson"]:
        for freeze in session.freezes:
            if freeze.end - freeze.start < 2.0:
                continue
            first, last = (round((t + MARGIN_S) * RATE_HZ) for t in (freeze.start + 0.6, freeze.end - 0.6))
            x, y = _channel(session, "pelvis_x")[first:last], _channel(session, "pelvis_y")[first:last]
            assert np.hypot(np.ptp(x), np.ptp(y)) < 0.12  # metres: sway, and the last step's end
            pitch = np.diff(_channel(session, "left_foot_pitch")[first:last])
            turns = np.sum(pitch[1:] * pitch[:-1] < 0)
            assert turns / 2 / ((last - first) / RATE_HZ) > 2.5  # Hz
            seen += 1
    assert seen


def test_walking_is_periodic_at_the_chest(populations: dict[str, list[Session]]) -> None:
    """The vertical acceleration's strongest frequency is the step frequency."""
    found = 0
    for session in populations["healthy"]:
        z = np.gradient(np.gradient(_channel(session, "pelvis_z"))) * RATE_HZ**2
        for interval in session.activities:
            if interval.activity == "walking" and interval.end - interval.start > 4.5:
                first, last = (round((t + MARGIN_S) * RATE_HZ) for t in (interval.start + 0.6, interval.end - 0.8))
                frequencies, power = welch(z[first:last], RATE_HZ, nperseg=last - first, nfft=4096)
                assert frequencies[power.argmax()] == pytest.approx(session.person.gait.cadence / 60, rel=0.15)
                found += 1
    assert found >= 5
