"""One continuous session of a simulated person: a plan of activities, places and times.

The planner always chooses the activity with the least time so far, so that every class gets enough windows, and
walks the person to a suitable place. A fall ends its session.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from datamodules.recording import FloatArray, Interval
from datamodules.sources.simulator.body import CHANNEL, SIDES
from datamodules.sources.simulator.gait import wrap
from datamodules.sources.simulator.hall import Hall, Seat
from datamodules.sources.simulator.motion import Actor
from datamodules.sources.simulator.people import Parkinson, Person
from datamodules.sources.simulator.timeline import RATE_HZ, interpolate

ACTIVITIES = (
    "standing",
    "walking",
    "turning",
    "bending",
    "sitting",
    "sit_stand",
    "stairs_down",
    "lying",
    "falling",
)
FALL_S = 10.0  # time reserved at the end of a session with a fall
LEAVE_GALLERY_S = 55.0  # least time needed for going downstairs and for the lower floor
NEEDS_S = {  # approximate duration of each activity, including the way there and back
    "standing": 7.0,
    "walking": 10.0,
    "turning": 10.0,
    "bending": 10.0,
    "sitting": 22.0,
    "sit_stand": 22.0,
    "stairs_down": 20.0,
    "lying": 29.0,
}


@dataclass(frozen=True)
class Session:
    """The truth behind a recording.

    Attributes:
        person: the person.
        hall: the hall.
        duration_s: duration from time 0, seconds.
        channels: (C, N) on the internal time grid, see ``timeline.interpolate``.
        activities: labels, in order of time.
        freezes: episodes of freezing of gait; they keep the label of the activity that they interrupt.
    """

    person: Person
    hall: Hall
    duration_s: float
    channels: FloatArray
    activities: tuple[Interval, ...]
    freezes: tuple[Interval, ...]

    def at(self, times: FloatArray) -> FloatArray:
        """Interpolate the channels (C, M) at these times."""
        return interpolate(self.channels, times)


def plan_session(person: Person, hall: Hall, duration_s: float, rng: np.random.Generator) -> Session:
    """Simulate a session of ``duration_s`` seconds."""
    upstairs = bool(rng.random() < 0.8)
    area = hall.upper if upstairs else hall.lower
    place = (*area.point(rng), float(rng.uniform(-math.pi, math.pi)), area.floor)
    actor = Actor(person, duration_s, place, rng)
    planner = _Planner(actor, hall, upstairs, duration_s, falls=bool(rng.random() < 0.85) and duration_s > 3 * FALL_S)
    planner.run()
    _sway(actor, rng)
    channels = actor.timeline.channels()
    if person.parkinson is not None:
        _tremble(channels, person.parkinson, rng)
    return Session(
        person=person,
        hall=hall,
        duration_s=duration_s,
        channels=channels,
        activities=_cut(actor.intervals, duration_s),
        freezes=_cut(actor.freezes, duration_s),
    )


def _cut(intervals: list[Interval], end: float) -> tuple[Interval, ...]:
    return tuple(Interval(i.start, min(i.end, end), i.activity) for i in intervals if i.start < end)


class _Planner:
    """A planner that chooses activities and directs an actor."""

    def __init__(self, actor: Actor, hall: Hall, upstairs: bool, duration_s: float, falls: bool) -> None:
        self.actor, self.hall, self.upstairs = actor, hall, upstairs
        self.end = duration_s
        self.falls = falls
        # Random initial times make sessions differ in order.
        self.credit = {name: float(actor.rng.uniform(0.0, 6.0)) for name in ACTIVITIES if name != "falling"}

    def run(self) -> None:
        actor = self.actor
        actor.stand(float(actor.rng.uniform(1.0, 2.5)))
        while (activity := self._next()) is not None:
            self._do(activity)
            actor.stand(float(actor.rng.uniform(0.4, 0.9)))
        if not self.falls:
            actor.stand(max(0.0, self.end - actor.time))
        elif self.end - actor.time > 4.0:
            actor.stand(max(0.0, self.end - actor.time - FALL_S))
            actor.fall()
            actor.label("falling", actor.time, self.end)

    def _next(self) -> str | None:
        """Return the activity with the least time so far among those that still fit; None if none fits."""
        spent = dict(self.credit)
        for interval in self.actor.intervals:
            if interval.activity in spent:
                spent[interval.activity] += interval.end - interval.start
        left = self.end - self.actor.time - (FALL_S if self.falls else 0.0)
        if self.upstairs:
            # The bed is downstairs, and falls happen only downstairs.
            if left < LEAVE_GALLERY_S * self.actor.person.tempo or min(spent, key=lambda a: spent[a]) == "lying":
                return "stairs_down"
            del spent["lying"]
        else:
            del spent["stairs_down"]
        pace = math.sqrt(self.actor.person.tempo)
        fitting = {a: time for a, time in spent.items() if NEEDS_S[a] * pace < left}
        return min(fitting, key=lambda a: fitting[a]) if fitting else None

    def _do(self, activity: str) -> None:
        actor, rng = self.actor, self.actor.rng
        area = self.hall.upper if self.upstairs else self.hall.lower
        if activity == "standing":
            actor.stand(float(rng.uniform(6.0, 10.0)))
        elif activity == "walking":
            with actor.labelled("walking"):
                actor.walk_for(float(rng.uniform(8.0, 12.0)), area)
        elif activity == "turning":
            start = actor.time
            for _ in range(2 if actor.person.parkinson else 3):
                actor.turn_by(float(rng.choice([-1, 1]) * rng.uniform(math.pi, 1.8 * math.pi)))
                actor.time += 0.3
            actor.intervals = [i for i in actor.intervals if i.start < start]
            actor.label("turning", start, actor.time)
        elif activity == "bending":
            for _ in range(2 if actor.person.parkinson else 3):
                actor.bend()
        elif activity in ("sitting", "sit_stand"):
            self._sit(activity, rng)
        elif activity == "lying":
            self._lie(rng)
        elif activity == "stairs_down":
            actor.go_to(-0.45, float(rng.uniform(-0.2, 0.2)))
            actor.turn_to(0.0)
            actor.time += 0.3
            actor.go_down_stairs()
            self.upstairs = False
            actor.go_to(*self.hall.lower.point(rng))

    def _take(self, seat: Seat) -> None:
        """Walk to ``seat`` and turn the back to it."""
        actor = self.actor
        actor.go_to(seat.x, seat.y)
        actor.turn_by(wrap(seat.facing - actor.heading))
        actor.time += 0.4

    def _sit(self, activity: str, rng: np.random.Generator) -> None:
        actor = self.actor
        here = [s for s in self.hall.seats if s.floor == actor.floor and not s.is_bed]
        seat = min(here, key=lambda s: math.hypot(s.x - actor.x, s.y - actor.y))
        self._take(seat)
        for k in range(1 if activity == "sitting" else 3):
            if k:
                actor.time += 0.4
            actor.sit_down(seat)
            if activity == "sitting":
                actor.sit(float(rng.uniform(8.0, 12.0)))
            else:
                actor.time += float(rng.uniform(0.2, 0.5))
            actor.stand_up()
        actor.settle(0.4)
        self._leave_wall(rng)

    def _lie(self, rng: np.random.Generator) -> None:
        actor = self.actor
        bed = next(s for s in self.hall.seats if s.is_bed)
        self._take(bed)
        actor.sit_down(bed)
        actor.time += 0.4
        actor.lie_down(bed)
        actor.lie(float(rng.uniform(7.0, 11.0)))
        actor.sit_up()
        actor.time += 0.5
        actor.stand_up()
        self._leave_wall(rng)

    def _leave_wall(self, rng: np.random.Generator) -> None:
        """Walk back to the free middle of the floor."""
        actor = self.actor
        actor.time += 0.3
        actor.go_to(actor.x + float(rng.uniform(-0.5, 0.5)), 0.4 * actor.y)


def _sway(actor: Actor, rng: np.random.Generator) -> None:
    """Add postural sway and breathing."""
    line = actor.timeline
    for channel in ("pelvis_x", "pelvis_y"):
        line.wander(channel, 0.004, rng, 0.1, 0.7)
    for channel in ("trunk_flexion", "trunk_lateral", "pelvis_yaw"):
        line.wander(channel, 0.008, rng, 0.1, 0.8)
    for channel in ("head_pitch", "head_yaw", "head_roll"):
        line.wander(channel, 0.02, rng, 0.1, 0.9)
    for side in SIDES:
        for joint in ("shoulder_flexion", "elbow", "pronation"):
            line.wander(f"{side}_{joint}", 0.015, rng, 0.15, 1.0)
    pace, phase = float(rng.uniform(0.2, 0.3)), float(rng.uniform(0, 2 * math.pi))
    line.add("trunk_flexion", 0.006 * np.sin(2 * math.pi * pace * line.times() + phase))


def _tremble(channels: FloatArray, signs: Parkinson, rng: np.random.Generator) -> None:
    """Add rest tremor in place: strong in the hands, weak in trunk and head, weaker while the arm moves."""
    times = np.arange(channels.shape[1]) / RATE_HZ
    waxing = 0.75 + 0.25 * np.sin(2 * math.pi * rng.uniform(0.03, 0.08) * times + rng.uniform(0, 2 * math.pi))
    drift = 0.5 * np.sin(2 * math.pi * rng.uniform(0.1, 0.2) * times + rng.uniform(0, 2 * math.pi))
    for side in SIDES:
        arm = [CHANNEL[f"{side}_{joint}"] for joint in ("shoulder_flexion", "elbow")]
        speed = np.abs(np.gradient(channels[arm], 1.0 / RATE_HZ, axis=1)).sum(axis=0)
        window = round(0.8 * RATE_HZ)
        speed = np.convolve(speed, np.full(window, 1.0 / window), mode="same")
        rest = 0.25 + 0.75 / (1.0 + (speed / 0.6) ** 2)
        angle = 2 * math.pi * signs.tremor_hz * times + drift + rng.uniform(0, 2 * math.pi)
        size = signs.tremor[side] * waxing * rest
        channels[CHANNEL[f"{side}_pronation"]] += size * np.sin(angle)
        channels[CHANNEL[f"{side}_elbow"]] += 0.35 * size * np.sin(angle + 0.6)
        channels[CHANNEL[f"{side}_wrist"]] += 0.8 * size * np.sin(angle + 1.0)
        channels[CHANNEL["trunk_lateral"]] += 0.015 * size * np.sin(angle + 2.0)
        channels[CHANNEL["head_pitch"]] += 0.05 * size * np.sin(angle + 2.5)
