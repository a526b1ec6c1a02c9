"""Motion besides walking: standing, bending, sitting, getting up, lying down, falling.

An :class:`Actor` writes one activity after another into its time line, and labels it.
"""

from __future__ import annotations

import math

import numpy as np

from datamodules.recording import FloatArray
from datamodules.sources.simulator.body import SIDES
from datamodules.sources.simulator.gait import Walker
from datamodules.sources.simulator.hall import Seat
from datamodules.sources.simulator.rotations import rot_y, rot_z

LEGS_DOWN = 0.96  # distance from hip to ankle in lying, as a share of the leg's length
HIP_DEPTH = 0.105  # metres from the hips to the seat or floor, times girth


class Actor(Walker):
    """A walker that can also do all other activities."""

    # Standing

    def stand(self, seconds: float) -> None:
        """Stand, shift weight, look around, use the hands."""
        with self.labelled("standing"):
            end = self.time + seconds
            while end - self.time > 3.0:
                pause = float(self.rng.exponential(1.0 / (3.0 * self.person.liveliness)))
                self.time = min(end, self.time + max(0.5, pause))
                if end - self.time > 2.5:
                    self.time += self._gesture(end - self.time, standing=True)
            self.time = end

    def _gesture(self, longest: float, standing: bool) -> float:
        """Make one small movement from now on; return its duration."""
        line, rng, start = self.timeline, self.rng, self.time
        length = float(np.clip(rng.uniform(1.6, 4.0) * self.person.tempo, 1.4, longest))
        kind = str(rng.choice(["look", "hand", "hand", "weight" if standing else "trunk"]))
        if kind == "look":
            line.bump("head_yaw", start, start + length, float(rng.choice([-1, 1]) * rng.uniform(0.3, 0.9)))
            line.bump("head_pitch", start, start + length, float(rng.uniform(-0.2, 0.3)))
        elif kind == "hand":
            side = SIDES[int(rng.random() < 0.7)]
            rise, fall = start + 0.35 * length, start + 0.65 * length
            reach = {
                "shoulder_flexion": float(rng.uniform(0.3, 1.2)),
                "shoulder_abduction": float(rng.uniform(0.0, 0.4)),
                "elbow": float(rng.uniform(0.6, 1.8)),
                "pronation": float(rng.uniform(-0.6, 0.9)),
            }
            for joint, angle in reach.items():
                back = line.value(f"{side}_{joint}")
                line.move(f"{side}_{joint}", start, rise, angle)
                line.move(f"{side}_{joint}", fall, start + length, back)
        elif kind == "weight":
            aside = float(rng.choice([-1, 1]) * rng.uniform(0.02, 0.05))
            line.bump("pelvis_x", start, start + length, -aside * math.sin(self.heading))
            line.bump("pelvis_y", start, start + length, aside * math.cos(self.heading))
            line.bump("trunk_lateral", start, start + length, -0.8 * aside)
        else:
            line.bump("trunk_flexion", start, start + length, float(rng.uniform(-0.15, 0.3)))
            line.bump("trunk_rotation", start, start + length, float(rng.uniform(-0.3, 0.3)))
        return length

    # Bending

    def bend(self) -> None:
        """Bend down as if to pick something up, and come back."""
        line, rng, tempo, start = self.timeline, self.rng, self.person.tempo, self.time
        down = float(rng.uniform(1.0, 1.5)) * tempo
        hold = float(rng.uniform(0.3, 1.3))
        up = float(rng.uniform(0.9, 1.4)) * tempo
        hips, back = math.radians(rng.uniform(25, 45)), math.radians(rng.uniform(35, 60))
        knees = float(rng.uniform(0.05, 0.28))
        behind = 0.10 + 0.25 * math.sin(hips) * 0.5
        targets = {
            "pelvis_pitch": hips,
            "trunk_flexion": back,
            "trunk_rotation": float(rng.uniform(-0.3, 0.3)),
            "pelvis_z": self.floor + self.hip_height - knees,
            "pelvis_x": self.x - behind * math.cos(self.heading),
            "pelvis_y": self.y - behind * math.sin(self.heading),
            "head_pitch": self.person.head_drop + float(rng.uniform(-0.5, 0.0)),
        }
        arms = SIDES if rng.random() < 0.5 else (SIDES[int(rng.random() < 0.8)],)
        for side in arms:
            targets[f"{side}_shoulder_flexion"] = hips + back + float(rng.uniform(-0.1, 0.3))
            targets[f"{side}_elbow"] = float(rng.uniform(0.1, 0.4))
        now = {channel: line.value(channel) for channel in targets}
        for channel, value in targets.items():
            line.move(channel, start, start + down, value)
            line.move(channel, start + down + hold, start + down + hold + up, now[channel])
        self.time = start + down + hold + up
        self.label("bending", start, self.time)

    # Sitting

    def sit_down(self, seat: Seat) -> None:
        """Sit down, from standing in front of ``seat`` with the back to it."""
        line, start = self.timeline, self.time
        length = float(self.rng.uniform(1.5, 2.0)) * self.person.tempo
        end = start + length
        line.bump("trunk_flexion", start, end + 0.2 * length, math.radians(self.rng.uniform(22, 36)))
        line.bump("pelvis_pitch", start, end, math.radians(self.rng.uniform(12, 24)))
        line.move("pelvis_pitch", start + 0.5 * length, end + 0.2 * length, math.radians(-9.0))
        behind = 0.92 * self.person.body.thigh
        line.move("pelvis_x", start + 0.1 * length, end, seat.x - behind * math.cos(self.heading))
        line.move("pelvis_y", start + 0.1 * length, end, seat.y - behind * math.sin(self.heading))
        line.move("pelvis_z", start + 0.2 * length, end, seat.floor + seat.height + self._hip_depth)
        line.shock("pelvis_z", end - 0.12 * length, -0.002, 6.0, 0.06)
        for side in SIDES:
            for joint, angle in (("shoulder_flexion", 0.5), ("elbow", 0.95), ("shoulder_rotation", 0.25)):
                line.move(f"{side}_{joint}", start + 0.3 * length, end + 0.2 * length, angle + self.person.stoop / 2)
        self.time = end + 0.1 * length
        self.label("sit_stand", start, self.time)

    @property
    def _hip_depth(self) -> float:
        return HIP_DEPTH * self.person.body.girth

    def sit(self, seconds: float) -> None:
        """Stay seated."""
        with self.labelled("sitting"):
            end = self.time + seconds
            while end - self.time > 3.0:
                self.time += float(min(end - self.time, self.rng.exponential(0.5 / self.person.liveliness)))
                if end - self.time > 2.5:
                    self.time += self._gesture(end - self.time, standing=False)
            self.time = end

    def stand_up(self) -> None:
        """Stand up from sitting; the trunk leans first."""
        line, start = self.timeline, self.time
        length = float(self.rng.uniform(1.35, 1.8)) * self.person.tempo
        end = start + length
        line.bump("trunk_flexion", start, start + 0.95 * length, math.radians(self.rng.uniform(28, 42)))
        line.bump("pelvis_pitch", start, start + 0.95 * length, math.radians(self.rng.uniform(16, 28)))
        line.move("pelvis_pitch", start, start + 0.6 * length, 0.0)
        line.move("pelvis_x", start + 0.12 * length, start + 0.9 * length, self.x)
        line.move("pelvis_y", start + 0.12 * length, start + 0.9 * length, self.y)
        line.move("pelvis_z", start + 0.3 * length, end, self.floor + self.hip_height)
        for side in SIDES:
            for joint, angle in self.arms_at_rest().items():
                line.move(f"{side}_{joint}", start + 0.35 * length, end, angle)
        self.time = end
        self.label("sit_stand", start, self.time)

    # Lying

    def _lying_foot(
        self, side: str, hips: FloatArray, heading: float, legs: float, pitch: float, height: float
    ) -> dict[str, float]:
        """Return the channels of a foot, for legs that reach ``legs`` metres from ``hips`` along ``heading``."""
        sign, body = 1.0 if side == "left" else -1.0, self.person.body
        aside = sign * (0.07 + 0.5 * body.hip_half_width)
        along = np.array([math.cos(heading), math.sin(heading), 0.0])
        across = np.array([-math.sin(heading), math.cos(heading), 0.0])
        ankle = np.array([hips[0], hips[1], height]) + legs * along + aside * across
        turn = (rot_z(np.array([heading])) @ rot_y(np.array([pitch])))[0]
        ball = ankle - turn @ np.array([-body.ankle_to_ball, 0.0, body.ankle_height])
        return {"x": float(ball[0]), "y": float(ball[1]), "z": float(ball[2]), "pitch": pitch, "yaw": heading}

    def lie_down(self, bed: Seat) -> None:
        """Lie down on the back, from sitting on the edge of ``bed``."""
        line, start = self.timeline, self.time
        length = float(self.rng.uniform(2.2, 3.0)) * self.person.tempo
        end, side = start + length, float(self.rng.choice([-1.0, 1.0]))
        heading = bed.facing + side * math.pi / 2
        inward = 0.62
        hips = np.array(
            [
                bed.x - 0.05 * math.cos(heading),
                bed.y - inward * math.sin(bed.facing),
                bed.floor + bed.height + self._hip_depth,
            ]
        )
        self._before_lying = {c: line.value(c) for c in self._lying_channels()}
        line.move("pelvis_yaw", start, start + 0.8 * length, heading)
        line.move("pelvis_pitch", start + 0.1 * length, end, math.radians(-86.0))
        for channel, value in zip("xyz", hips, strict=True):
            line.move(f"pelvis_{channel}", start, start + 0.9 * length, float(value))
        line.bump("pelvis_roll", start, end, -side * 0.35)
        line.bump("trunk_flexion", start, end, 0.35)
        line.move("trunk_flexion", start + 0.4 * length, end, 0.5 * max(self.person.stoop, 0.0))
        line.move("head_pitch", start + 0.4 * length, end, 0.25)
        for k, foot in enumerate(SIDES):
            first = start + (0.15 + 0.1 * k) * length
            height = bed.floor + bed.height + 0.07
            goal = self._lying_foot(foot, hips, heading, LEGS_DOWN * self.person.body.leg, math.radians(-65.0), height)
            for channel, value in goal.items():
                line.move(f"{foot}_foot_{channel}", first, first + 0.75 * length, value)
            line.bump(f"{foot}_foot_z", first, first + 0.6 * length, 0.25)
            for joint, angle in (("shoulder_flexion", 0.0), ("shoulder_abduction", 0.25), ("elbow", 0.4)):
                line.move(f"{foot}_{joint}", start + 0.3 * length, end, angle)
        self.time = end
        self.label("lying", start, end)

    def _lying_channels(self) -> list[str]:
        names = [f"pelvis_{c}" for c in ("x", "y", "z", "yaw", "pitch")] + ["trunk_flexion", "head_pitch"]
        for side in SIDES:
            names += [f"{side}_foot_{c}" for c in ("x", "y", "z", "yaw", "pitch")]
            names += [f"{side}_{c}" for c in ("shoulder_flexion", "shoulder_abduction", "elbow")]
        return names

    def lie(self, seconds: float) -> None:
        """Stay lying; sometimes roll to a side and back."""
        line, rng, end = self.timeline, self.rng, self.time + seconds
        with self.labelled("lying"):
            if seconds > 5.0 and rng.random() < 0.6:
                self.time += float(rng.uniform(0.5, 1.5))
                turn = 1.3 * self.person.tempo
                angle = float(rng.choice([-1, 1]) * rng.uniform(0.6, 1.2))
                back = max(self.time + turn + 0.5, end - turn - float(rng.uniform(0.2, 1.0)))
                line.move("pelvis_twist", self.time, self.time + turn, angle)
                line.move("pelvis_twist", back, back + turn, 0.0)
                line.bump("pelvis_z", self.time, back + turn, 0.05)
                line.bump("head_yaw", self.time, back + turn, 0.3 * angle)
            else:
                self.time += float(rng.uniform(1.0, 2.0))
                line.bump("head_yaw", self.time, self.time + 2.0, float(rng.uniform(-0.6, 0.6)))
                side = SIDES[int(rng.integers(2))]
                line.bump(f"{side}_elbow", self.time, self.time + 2.5, float(rng.uniform(0.4, 1.4)))
            self.time = end

    def sit_up(self) -> None:
        """Sit up from lying, to the edge of the bed; this transition has no label."""
        start = self.time
        length = float(self.rng.uniform(2.0, 2.8)) * self.person.tempo
        for channel, value in self._before_lying.items():
            self.timeline.move(channel, start, start + length, value)
        for side in SIDES:
            self.timeline.bump(f"{side}_foot_z", start, start + length, 0.15)
        self.time = start + length

    # Falling

    def fall(self) -> None:
        """Fall forwards, backwards or sideways and stay on the floor; this ends the upright part of a session."""
        line, rng, start = self.timeline, self.rng, self.time
        kind = str(rng.choice(["forward", "backward", "left", "right"]))
        length = float(rng.uniform(0.8, 1.1))
        hit = start + length
        away = {"forward": 0.0, "backward": math.pi, "left": math.pi / 2, "right": -math.pi / 2}[kind]
        direction = self.heading + away
        leg = self.person.body.leg
        travel = leg * float(rng.uniform(0.6, 0.8))
        hips = np.array(
            [
                self.x + travel * math.cos(direction),
                self.y + travel * math.sin(direction),
                self.floor + (self._hip_depth if kind in ("forward", "backward") else 1.5 * self._hip_depth),
            ]
        )
        for channel, value in zip("xyz", hips, strict=True):
            line.fall(f"pelvis_{channel}", start, hit, float(value))
        tilt = {"forward": ("pitch", 88.0), "backward": ("pitch", -86.0), "left": ("roll", -86.0)}
        axis, angle = tilt.get(kind, ("roll", 86.0))
        line.fall(f"pelvis_{axis}", start, hit + 0.06, math.radians(angle), cushion_s=0.06)
        self._brace(kind, start, hit)
        pitch = {"forward": 1.2, "backward": -1.1}.get(kind, 0.5)
        for side in SIDES:
            goal = self._lying_foot(side, hips, direction + math.pi, 0.9 * leg, pitch, self.floor + 0.09)
            if kind == "backward":
                goal["yaw"] = self.heading
            elif kind == "forward":
                mirrored = {"left": "right", "right": "left"}[side]
                goal = self._lying_foot(mirrored, hips, direction + math.pi, 0.9 * leg, 0.0, self.floor + 0.09)
                goal |= {"yaw": self.heading, "pitch": pitch, "z": self.floor + 0.02}
            else:
                goal["yaw"] = self.heading
                upper = side != kind
                goal["z"] = self.floor + (0.22 if upper else 0.06)
            for channel, value in goal.items():
                line.move(f"{side}_foot_{channel}", start + 0.45 * length, hit + 0.35, value)
        self.time = hit + 1.0
        self._writhe(float(rng.uniform(5.0, 7.5)))
        self.label("falling", start, self.time)

    def _brace(self, kind: str, start: float, hit: float) -> None:
        """Stretch out the arms and pull in the chin."""
        line, rng = self.timeline, self.rng
        early, length = start + 0.25 * (hit - start), hit - start
        arms = {
            "forward": {"shoulder_flexion": 1.7, "elbow": 1.1, "shoulder_abduction": 0.35},
            "backward": {"shoulder_flexion": -0.5, "elbow": 0.8, "shoulder_abduction": 0.5},
        }.get(kind, {"shoulder_flexion": 0.7, "elbow": 0.9, "shoulder_abduction": 0.8})
        for side in SIDES:
            for joint, angle in arms.items():
                line.move(f"{side}_{joint}", early, start + 0.95 * length, angle * float(rng.uniform(0.8, 1.1)))
        line.move("head_pitch", early, hit, {"forward": -0.6, "backward": 0.5}.get(kind, 0.1))
        line.move("trunk_flexion", start, hit, {"forward": 0.1, "backward": 0.45}.get(kind, 0.25))
        line.bump("trunk_flexion", start, hit + 0.3, 0.25)

    def _writhe(self, seconds: float) -> None:
        """Stay on the floor with a few weak movements."""
        line, rng, end = self.timeline, self.rng, self.time + seconds
        while end - self.time > 2.0:
            length = float(rng.uniform(1.2, 2.0)) * self.person.tempo
            side = SIDES[int(rng.integers(2))]
            line.bump(f"{side}_elbow", self.time, self.time + length, float(rng.uniform(0.2, 0.7)))
            line.bump("head_yaw", self.time, self.time + length, float(rng.uniform(-0.4, 0.4)))
            line.bump("trunk_rotation", self.time, self.time + length, float(rng.uniform(-0.15, 0.15)))
            self.time += length + float(rng.uniform(0.3, 1.5))
        self.time = end
