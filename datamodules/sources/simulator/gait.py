"""Walking, turning on the spot, stairs and freezing, step by step.

In each step, the foot rolls off over its ball, swings, strikes with the heel, slaps down and then stays in place. The
pelvis follows the middle between the feet. A step's pelvis movement spans the time of two steps, so that neighbouring
steps merge into a walk. The speed of this walk is highest in double support, as in people.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from datamodules.recording import Interval
from datamodules.sources.simulator.body import SIDES
from datamodules.sources.simulator.hall import RISER, STEPS, TREAD, UPPER, Area
from datamodules.sources.simulator.people import Person
from datamodules.sources.simulator.timeline import Timeline

ANKLE_BEHIND_HIP = 0.03  # metres, in quiet standing
PELVIS_LEAD = 0.12  # of a step's duration, by which the pelvis is ahead of the feet's middle
TURN_IS_TURNING = math.radians(100.0)  # smaller turns on the way belong to walking


def wrap(angle: float) -> float:
    """Wrap an angle to -pi .. pi."""
    return (angle + math.pi) % (2.0 * math.pi) - math.pi


class Walker:
    """A walking person, and the time up to which the session is written.

    ``feet`` holds, for each foot, the body's place (x, y, heading, floor) at which that foot would be in its
    standing position.
    """

    def __init__(
        self,
        person: Person,
        duration_s: float,
        place: tuple[float, float, float, float],
        rng: np.random.Generator,
    ) -> None:
        self.person = person
        self.rng = rng
        self.time = 0.0
        self.x, self.y, self.heading, self.floor = place
        self.feet = dict.fromkeys(SIDES, place)
        self.next_side = SIDES[int(rng.integers(2))]
        self.intervals: list[Interval] = []
        self.freezes: list[Interval] = []
        self._steps_since_freeze = 0
        self.timeline = Timeline(duration_s, self._standing())

    # What is where

    def _standing(self) -> dict[str, float]:
        start = {
            "pelvis_x": self.x,
            "pelvis_y": self.y,
            "pelvis_z": self.floor + self.hip_height,
            "pelvis_yaw": self.heading,
            "trunk_flexion": self.person.stoop,
            "head_pitch": self.person.head_drop - 0.7 * self.person.stoop,
        }
        for side in SIDES:
            start.update({f"{side}_{joint}": angle for joint, angle in self.arms_at_rest().items()})
            x, y, yaw = self._foothold(side, self.x, self.y, self.heading)
            foot = {"x": x, "y": y, "z": self.floor, "yaw": yaw}
            start.update({f"{side}_foot_{c}": value for c, value in foot.items()})
        return start

    @property
    def hip_height(self) -> float:
        """Height of the hips above the floor in standing; the knees of a stooped person stay bent."""
        return self.person.body.standing_hip_height - 0.06 * max(self.person.stoop, 0.0)

    def arms_at_rest(self) -> dict[str, float]:
        """Return the joint angles of an arm that hangs down at any posture of the trunk."""
        hang = 0.8 * self.person.stoop
        return {
            "shoulder_flexion": hang - 0.03,
            "shoulder_abduction": 0.09,
            "shoulder_rotation": 0.1,
            "elbow": self.person.elbow,
            "pronation": 0.0,
            "wrist": 0.1,
        }

    def _foothold(self, side: str, x: float, y: float, heading: float) -> tuple[float, float, float]:
        """Return the position of a foot's ball, and its yaw, for a body at (x, y)."""
        sign = 1.0 if side == "left" else -1.0
        ahead = self.person.body.ankle_to_ball - ANKLE_BEHIND_HIP
        aside = sign * (0.5 * self.person.gait.step_width + 0.02)
        cosine, sine = math.cos(heading), math.sin(heading)
        yaw = heading + sign * self.person.gait.toe_out
        return x + ahead * cosine - aside * sine, y + ahead * sine + aside * cosine, yaw

    @contextmanager
    def labelled(self, activity: str) -> Iterator[None]:
        """Label the time that passes inside the block."""
        start = self.time
        yield
        self.label(activity, start, self.time)

    def label(self, activity: str, start: float, end: float) -> None:
        """Label ``start`` to ``end``; extend an equal label that ends at ``start``."""
        if end <= start:
            return
        last = self.intervals[-1] if self.intervals else None
        if last is not None and last.activity == activity and abs(last.end - start) < 1e-9:
            self.intervals[-1] = Interval(last.start, end, activity)
        else:
            self.intervals.append(Interval(start, end, activity))

    # Steps

    def step(self, side: str, x: float, y: float, heading: float, duration: float, floor: float | None = None) -> None:
        """Put one foot down for a body at (x, y, heading), and let the body follow."""
        line, gait, body = self.timeline, self.person.gait, self.person.body
        floor = self.floor if floor is None else floor
        other = SIDES[1 - SIDES.index(side)]
        foot = f"{side}_foot"
        begin, land = self.time, self.time + gait.swing_share * duration
        ball_x, ball_y, yaw = self._foothold(side, x, y, heading)
        length = math.hypot(x - self.feet[other][0], y - self.feet[other][1])
        stride = math.hypot(ball_x - line.value(f"{foot}_x"), ball_y - line.value(f"{foot}_y"))
        down = line.value(f"{foot}_z") - floor
        roll = min(1.0, stride / 1.2)
        strike = -0.35 if down > 0.05 else gait.heel_strike * roll  # down stairs the ball lands first
        settle = land + 0.16 * duration
        line.move(f"{foot}_pitch", begin - 0.32 * duration, begin + 0.14 * duration, gait.toe_off * roll)
        line.move(f"{foot}_pitch", begin + 0.14 * duration, land, -strike)
        line.move(f"{foot}_pitch", land, settle, 0.0)
        for channel, value in (("x", ball_x), ("y", ball_y)):
            line.move(f"{foot}_{channel}", begin, land, value, "swing")
        line.move(f"{foot}_yaw", begin, land, yaw)
        raised = body.heel_to_ball * math.sin(max(strike, 0.0))
        late = 0.35 if down > 0.05 else 0.0
        line.move(f"{foot}_z", begin + late * (land - begin), land, floor + raised)
        line.move(f"{foot}_z", land, settle, floor)
        line.bump(f"{foot}_z", begin, land, gait.lift * (0.5 + 0.5 * roll) + (0.03 if down > 0.05 else 0.0))
        impact = 0.4 + 0.6 * roll if self.person.parkinson is None else 0.4
        line.shock(f"{foot}_z", land, 0.0012 * impact, 14.0, 0.03)
        line.shock("pelvis_z", land, 0.0012 * impact, 9.0, 0.05)
        self.feet[side] = (x, y, heading, floor)
        self._follow(side, begin, duration, length)
        self.x, self.y, self.heading, self.floor = x, y, heading, floor
        self.time += duration
        self.next_side = other

    def _follow(self, side: str, begin: float, duration: float, length: float) -> None:
        """Move pelvis, trunk and arms during a step."""
        line, gait = self.timeline, self.person.gait
        sign = 1.0 if side == "left" else -1.0
        middle = [0.5 * (self.feet["left"][k] + self.feet["right"][k]) for k in range(3)]
        floors = sorted(self.feet[s][3] for s in SIDES)
        centre = begin + (0.5 * gait.swing_share - PELVIS_LEAD) * duration
        start, end = centre - duration, centre + duration
        stretch = min(1.0, length / 0.6)
        turn = -sign * gait.pelvis_turn * stretch
        line.move("pelvis_x", start, end, middle[0])
        line.move("pelvis_y", start, end, middle[1])
        line.move("pelvis_yaw", centre - 0.75 * duration, centre + 0.75 * duration, middle[2] + turn)
        height = floors[0] + 0.3 * (floors[1] - floors[0]) + self.hip_height - 0.045 * stretch
        if floors[1] > floors[0]:
            height -= 0.04
        line.move("pelvis_z", start + 0.3 * duration, end - 0.2 * duration, height)
        line.bump("pelvis_z", begin - 0.12 * duration, begin + 0.88 * duration, gait.bob * stretch)
        # Shift the weight over the standing foot.
        aside = -sign * (0.6 * gait.sway + 0.4 * gait.sway * stretch)
        line.bump("pelvis_x", begin - 0.2 * duration, land_end := begin + duration, -aside * math.sin(middle[2]))
        line.bump("pelvis_y", begin - 0.2 * duration, land_end, aside * math.cos(middle[2]))
        line.bump("pelvis_roll", begin - 0.2 * duration, land_end, sign * math.radians(-2.5) * stretch)
        line.move("trunk_rotation", begin, begin + duration, -1.5 * turn)
        line.move("trunk_flexion", begin, begin + duration, self.person.stoop + gait.lean * stretch)
        rest = self.arms_at_rest()
        for arm in SIDES:
            forward = 1.0 if arm != side else -0.75
            swing = gait.arm_swing[arm] * stretch * forward
            late = 0.06 * duration
            line.move(f"{arm}_shoulder_flexion", begin - late, begin + duration, rest["shoulder_flexion"] + swing)
            bend = rest["elbow"] + 0.7 * max(swing, 0.0)
            line.move(f"{arm}_elbow", begin, begin + 1.05 * duration, bend)

    def close(self) -> None:
        """Bring the other foot alongside and stand."""
        place = self.feet[SIDES[1 - SIDES.index(self.next_side)]]
        self.step(self.next_side, place[0], place[1], place[2], self._step_time(self.next_side))
        self.settle(0.6)

    def settle(self, seconds: float) -> None:
        """Return trunk, arms and pelvis to quiet standing, without advancing the time."""
        start, end = self.time - 0.25 * seconds, self.time + 0.75 * seconds
        self.timeline.move("pelvis_yaw", start, end, self.heading)
        self.timeline.move("pelvis_z", start, end, self.floor + self.hip_height)
        self.timeline.move("trunk_rotation", start, end, 0.0)
        self.timeline.move("trunk_flexion", start, end, self.person.stoop)
        for side in SIDES:
            for joint, angle in self.arms_at_rest().items():
                self.timeline.move(f"{side}_{joint}", start, end, angle)

    def _step_time(self, side: str) -> float:
        sign = 1.0 if side == "right" else -1.0
        gait = self.person.gait
        return float(gait.step_time * (1.0 + sign * gait.asymmetry) * (1.0 + self.rng.normal(0.0, 0.02)))

    # Walking

    def walk_for(self, seconds: float, area: Area) -> None:
        """Walk about in ``area``."""
        end, target, count = self.time + seconds, area.point(self.rng, 0.3), 0
        while self.time < end:
            dx, dy = target[0] - self.x, target[1] - self.y
            if math.hypot(dx, dy) < 1.0:
                target = area.point(self.rng, 0.3)
                continue
            length = self.person.gait.step_length * (0.65 if count == 0 else 1.0)
            length *= float(1.0 + self.rng.normal(0.0, 0.04))
            inside = area.x[0] < self.x < area.x[1] and area.y[0] < self.y < area.y[1]
            most = length / (1.1 if inside else 0.6)  # radians a step, from the radius of the curve
            turn = float(np.clip(wrap(math.atan2(dy, dx) - self.heading), -most, most))
            length *= 1.0 - 0.4 * abs(turn)
            heading = self.heading + turn
            x, y = self.x + length * math.cos(heading), self.y + length * math.sin(heading)
            self.step(self.next_side, x, y, heading, self._step_time(self.next_side))
            self._maybe_freeze()
            count += 1
        self.close()

    def go_to(self, x: float, y: float) -> None:
        """Turn and walk straight to (x, y), and label both."""
        distance = math.hypot(x - self.x, y - self.y)
        if distance < 0.12:
            return
        self.turn_to(math.atan2(y - self.y, x - self.x))
        count = max(1, math.ceil(distance / self.person.gait.step_length))
        from_x, from_y, heading = self.x, self.y, self.heading
        with self.labelled("walking"):
            for k in range(1, count + 1):
                place = (from_x + (x - from_x) * k / count, from_y + (y - from_y) * k / count)
                self.step(self.next_side, *place, heading, self._step_time(self.next_side))
                self._maybe_freeze()
            self.close()

    def turn_to(self, heading: float) -> None:
        """Turn on the spot in the shorter direction, and label it."""
        self.turn_by(wrap(heading - self.heading))

    def turn_by(self, angle: float) -> None:
        """Turn on the spot with small steps; left is positive."""
        if abs(angle) < 0.05:
            return
        count = math.ceil(abs(angle) / self.person.gait.turn_step)
        start = self.heading
        self.next_side = "left" if angle > 0 else "right"
        with self.labelled("turning" if abs(angle) > TURN_IS_TURNING else "walking"):
            self.timeline.bump("head_yaw", self.time - 0.3, self.time + 0.8, 0.35 * math.copysign(1.0, angle))
            for k in range(1, count + 1):
                side = self.next_side
                self.step(side, self.x, self.y, start + angle * k / count, 0.92 * self._step_time(side))
                self._maybe_freeze()
            self.close()

    def go_down_stairs(self) -> None:
        """Go from the gallery's edge down to the lower floor; people with severe signs put both feet on every step."""
        ahead = self.person.body.ankle_to_ball - ANKLE_BEHIND_HIP
        both = self.person.parkinson is not None and self.person.parkinson.severity > 0.85
        pace = 1.1 * math.sqrt(self.person.tempo)
        start = self.time
        self.timeline.shift("head_pitch", start - 0.5, start + 0.5, 0.35)
        for k in range(1, STEPS + 1):
            x = TREAD * k - 0.05 - ahead
            for _ in range(2 if both else 1):
                side = self.next_side
                self.step(side, x, self.y, 0.0, pace * self._step_time(side), UPPER - RISER * k)
        self.close()
        self.timeline.shift("head_pitch", self.time - 0.5, self.time + 0.5, -0.35)
        self.label("stairs_down", start, self.time)

    # Freezing

    def _maybe_freeze(self) -> None:
        signs = self.person.parkinson
        self._steps_since_freeze += 1
        if signs is None or self._steps_since_freeze < 4 or self.rng.random() > signs.freezes_per_step:
            return
        self._steps_since_freeze = 0
        self.freeze(float(np.clip(self.rng.lognormal(math.log(2.5), 0.5), 1.0, 7.0)))

    def freeze(self, seconds: float) -> None:
        """Freeze: the feet stick to the floor while the legs tremble at 3-8 Hz."""
        line, start, end = self.timeline, self.time, self.time + seconds
        pace = float(self.rng.uniform(3.5, 7.0))
        inside = start + 0.2
        for side, phase in zip(SIDES, (0.0, math.pi), strict=True):
            line.oscillate(f"{side}_foot_pitch", inside, end, math.radians(2.5), pace, phase)
            line.bump(f"{side}_foot_pitch", inside, end, math.radians(6.0))
        line.oscillate("pelvis_z", inside, end, 0.002, pace)
        line.oscillate("pelvis_roll", inside, end, math.radians(0.6), pace)
        line.bump("trunk_flexion", start, end + 0.2, math.radians(7.0))
        self.freezes.append(Interval(start, end, "freezing"))
        self.time = end
