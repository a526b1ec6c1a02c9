"""Simulator of moving people, worn sensors and cameras.

Every recording is marked as simulated (``Recording.simulated``). The simulator runs the whole pipeline without data,
and gives the true clock offsets, poses and episodes of freezing. ::

    simulator = Simulator(SimulatorParams(population="parkinson", subjects=3))
    for recording in simulator: ...

A recording is a function of ``SimulatorParams.seed`` and its name: loading it alone, or with all others, gives the
same result. ``first_subject`` makes disjoint sets of people.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from datamodules.recording import Interval, Recording, RecordingError, VideoStream
from datamodules.sources.registry import Source, source
from datamodules.sources.shared.ranges import out_of_range
from datamodules.sources.simulator.hall import make_hall
from datamodules.sources.simulator.head_camera import HeadCamera
from datamodules.sources.simulator.imu_model import DEVICES, Mount, personal_mount, record
from datamodules.sources.simulator.people import PLACEMENTS, POPULATIONS, make_person
from datamodules.sources.simulator.room import make_room
from datamodules.sources.simulator.rotations import from_rotation_vector
from datamodules.sources.simulator.session import ACTIVITIES, Session, plan_session
from datamodules.sources.simulator.third_person_camera import ThirdPersonCamera

__all__ = ["ACTIVITIES", "CAMERAS", "Simulator", "SimulatorParams"]

CAMERAS = ("head", "third_person")


@dataclass
class SimulatorParams:
    """Settings of the simulator."""

    seed: int = 0
    subjects: int = 8
    first_subject: int = 0  # number of the first person; disjoint ranges give disjoint people
    sessions_per_subject: int = 2
    session_s: float = 120.0
    population: str = "healthy"  # or "parkinson"
    placements: list[str] = field(default_factory=lambda: list(PLACEMENTS))
    cameras: list[str] = field(default_factory=lambda: list(CAMERAS))
    devices: list[str] = field(default_factory=lambda: ["icm20948", "bmi270"])  # assigned to people in turn
    frame_rate_hz: float = 30.0
    room_styles: int = 8  # number of differently furnished halls
    max_clock_offset_s: float = 0.05  # offset of the IMU against the camera: uniform in +- this, not in the metadata
    max_clock_drift_ppm: float = 0.0  # slowness of the IMU's clock: uniform in +- this, not in the metadata
    mounting_sd_deg: float = 8.0  # standard deviation of a sensor's orientation between people
    slip_sd_deg: float = 2.0  # standard deviation of a sensor's orientation between one person's sessions


def _check(params: SimulatorParams) -> None:
    problems = []
    if params.population not in POPULATIONS:
        problems.append(f"population is '{params.population}'; expected one of: {', '.join(POPULATIONS)}")
    for name, allowed in (("placements", PLACEMENTS), ("cameras", CAMERAS), ("devices", tuple(DEVICES))):
        given = getattr(params, name)
        if unknown := [value for value in given if value not in allowed]:
            problems.append(f"{name} has {unknown}; expected some of: {', '.join(allowed)}")
        if len(set(given)) != len(given):
            problems.append(f"{name} names something twice: {given}")
    if not params.devices:
        problems.append("devices is empty; expected at least one")
    for name, least in (
        ("subjects", 1),
        ("sessions_per_subject", 1),
        ("room_styles", 1),
        ("first_subject", 0),
    ):
        if getattr(params, name) < least:
            problems.append(f"{name} is {getattr(params, name)}; expected at least {least}")
    ranges = (
        ("session_s", 2.0, 3600.0),
        ("frame_rate_hz", 1.0, 240.0),
        ("max_clock_offset_s", 0.0, 10.0),
        ("max_clock_drift_ppm", 0.0, 1000.0),
        ("mounting_sd_deg", 0.0, 90.0),
        ("slip_sd_deg", 0.0, 90.0),
    )
    problems += out_of_range(params, ranges)
    if problems:
        raise ValueError("simulator: " + "; ".join(problems))


@source("simulator", SimulatorParams)
class Simulator(Source):
    """Simulated recordings.

    Raises:
        ValueError: settings are out of range; the message names all of them.
    """

    def __init__(self, params: SimulatorParams) -> None:
        _check(params)
        self.params = params
        letter = POPULATIONS[params.population]
        self._index = {
            f"sim_{letter}_{subject:03d}_{session:02d}": (subject, session)
            for subject in range(params.first_subject, params.first_subject + params.subjects)
            for session in range(params.sessions_per_subject)
        }

    def names(self) -> list[str]:
        """List the names ``sim_{h,p}_{subject}_{session}``."""
        return list(self._index)

    def subject_of(self, name: str) -> str:
        """Return the name without its session."""
        return name.rsplit("_", 1)[0]

    def load(self, name: str) -> Recording:
        """Simulate a session and its sensors; frames are rendered when they are read.

        Raises:
            RecordingError: there is no such recording.
        """
        p = self.params
        session = self.session(name)
        origin = f"simulator:seed={p.seed}:{name}"
        rng = self._rng(name, 3)
        exposure = float(rng.uniform(0.85, 1.1))
        phase = float(rng.uniform(0.0, 1.0 / p.frame_rate_hz))
        place = int(rng.integers(4))
        room = make_room(p.seed, self._style(name))
        videos: list[VideoStream] = []
        if "head" in p.cameras:
            videos.append(HeadCamera(session, room, p.frame_rate_hz, phase, exposure, f"{origin}:head"))
        if "third_person" in p.cameras:
            videos.append(
                ThirdPersonCamera(session, room, p.frame_rate_hz, phase, exposure, f"{origin}:third_person", place)
            )
        device = DEVICES[p.devices[self._index[name][0] % len(p.devices)]]
        offset, drift = self.true_clock_offset(name), self.true_clock_drift_ppm(name)
        imus = tuple(
            record(
                placement,
                self.mount(name, placement),
                session.person,
                session.channels,
                session.duration_s,
                device,
                offset,
                drift,
                f"{origin}:{placement}",
                self._rng(name, 100 + PLACEMENTS.index(placement)),
            )
            for placement in p.placements
        )
        return Recording(
            name=name,
            subject=session.person.subject,
            imus=imus,
            videos=tuple(videos),
            activities=session.activities,
            population=p.population,
            source="simulator",
            simulated=True,
            metadata={
                "seed": p.seed,
                "height_m": round(session.person.body.height, 3),
                "freezing": ";".join(f"{i.start:.2f}-{i.end:.2f}" for i in session.freezes),
            },
        )

    # The truth, for tests and experiments

    def session(self, name: str) -> Session:
        """Return the truth behind a recording: person, place, poses, activities."""
        subject, _ = self._numbers(name)
        p = self.params
        person = make_person(p.seed, p.population, subject, p.mounting_sd_deg)
        return plan_session(person, make_hall(p.seed, self._style(name)), p.session_s, self._rng(name, 1))

    def true_clock_offset(self, name: str) -> float:
        """Return the offset in seconds; added to a recording's IMU times, it gives times on the video's clock.

        With a drift, this is the offset at the IMU's time 0; at its time t it is ``drift / 1e6 * t`` more.
        """
        most = self.params.max_clock_offset_s
        return float(self._rng(name, 2).uniform(-most, most))

    def true_clock_drift_ppm(self, name: str) -> float:
        """Return the growth of the offset, microseconds per second of the IMU's clock."""
        most = self.params.max_clock_drift_ppm
        return float(self._rng(name, 5).uniform(-most, most))

    def freezing(self, name: str) -> tuple[Interval, ...]:
        """Return the episodes of freezing of gait; ``Recording.metadata["freezing"]`` has them as ``start-end;...``."""
        return self.session(name).freezes

    def mount(self, name: str, placement: str) -> Mount:
        """Return the true place and orientation of a sensor in a recording."""
        p = self.params
        subject, _ = self._numbers(name)
        person = make_person(p.seed, p.population, subject, p.mounting_sd_deg)
        rng = self._rng(name, 200 + PLACEMENTS.index(placement))
        slip = from_rotation_vector(rng.normal(0.0, math.radians(p.slip_sd_deg), 3))
        return personal_mount(placement, person, slip)

    def _numbers(self, name: str) -> tuple[int, int]:
        if name not in self._index:
            names = self.names()
            raise RecordingError(
                f"simulator has no recording '{name}'; there are {len(names)}: {names[0]} to {names[-1]}"
            )
        return self._index[name]

    def _style(self, name: str) -> int:
        return int(self._rng(name, 4).integers(self.params.room_styles))

    def _rng(self, name: str, stream: int) -> np.random.Generator:
        """Create random numbers that depend only on the seed, the recording and the number of their purpose."""
        subject, session = self._numbers(name)
        population = list(POPULATIONS).index(self.params.population)
        return np.random.default_rng([self.params.seed, population, subject, session, stream])
