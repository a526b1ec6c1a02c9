"""Simulated people with individual build, gait, manner and signs of Parkinson's disease.

Sources of the ranges: gait of healthy adults, Winter 1991 and Hollman et al. 2011; Parkinson's gait, Morris
et al. 1994 (stride length falls, cadence is kept or rises) and Mirelman et al. 2019; rest tremor of 4-6 Hz,
Deuschl et al. 1998; freezing with trembling of 3-8 Hz, Moore et al. 2008.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from datamodules.recording import FloatArray
from datamodules.sources.simulator.body import SIDES, BodyDimensions
from datamodules.sources.simulator.rotations import from_rotation_vector

POPULATIONS = {"healthy": "h", "parkinson": "p"}
PLACEMENTS = ("head", "chest", "right_wrist", "waist", "right_thigh", "right_ankle")


@dataclass(frozen=True)
class Gait:
    """Parameters of a gait; lengths in metres, angles in radians."""

    cadence: float  # steps/min
    step_length: float
    step_width: float
    swing_share: float  # share of a step's duration in which its foot is in the air
    asymmetry: float  # relative difference of step times, right against left
    arm_swing: dict[str, float]
    lift: float
    bob: float
    sway: float
    pelvis_turn: float
    lean: float
    toe_out: float
    toe_off: float
    heel_strike: float
    turn_step: float  # radians turned with each step on the spot

    @property
    def step_time(self) -> float:
        """Duration of a step, seconds."""
        return 60.0 / self.cadence


@dataclass(frozen=True)
class Parkinson:
    """Signs of Parkinson's disease, apart from its effects on ``Gait`` and ``Person.tempo``."""

    severity: float  # 0.4 to 1
    tremor_hz: float
    tremor: dict[str, float]  # radians of pronation, by side
    freezes_per_step: float


@dataclass(frozen=True)
class Person:
    """One simulated person."""

    subject: str
    population: str
    body: BodyDimensions
    gait: Gait
    tempo: float  # factor on the durations of voluntary movements
    stoop: float
    head_drop: float
    elbow: float
    liveliness: float  # gestures a second
    colours: dict[str, tuple[float, float, float]]
    mounting: dict[str, FloatArray]  # rotation of each sensor against its nominal seat
    parkinson: Parkinson | None = None


def make_person(seed: int, population: str, number: int, mounting_sd_deg: float = 8.0) -> Person:
    """Create the ``number``-th person of a population; equal arguments give equal people.

    Raises:
        ValueError: there is no such population; the message lists all populations.
    """
    if population not in POPULATIONS:
        raise ValueError(f"population is '{population}'; expected one of: {', '.join(POPULATIONS)}")
    rng = np.random.default_rng([seed, 11 + list(POPULATIONS).index(population), number])
    build = BodyDimensions.from_height(
        height=float(np.clip(rng.normal(1.70, 0.09), 1.50, 1.95)),
        legs=float(rng.normal(1.0, 0.015)),
        arms=float(rng.normal(1.0, 0.03)),
        girth=float(np.clip(rng.normal(1.0, 0.12), 0.8, 1.35)),
    )
    tempo = float(np.clip(rng.normal(1.0, 0.13), 0.75, 1.35))
    gait = Gait(
        cadence=float(np.clip(rng.normal(110.0, 8.0), 92.0, 128.0)),
        step_length=float(np.clip(rng.normal(0.39, 0.03), 0.32, 0.45)) * build.height,
        step_width=float(rng.uniform(0.08, 0.14)),
        swing_share=float(rng.uniform(0.77, 0.84)),
        asymmetry=float(rng.normal(0.0, 0.02)),
        arm_swing={side: math.radians(rng.uniform(11.0, 26.0)) for side in SIDES},
        lift=float(rng.uniform(0.05, 0.08)),
        bob=float(rng.uniform(0.026, 0.040)),
        sway=float(rng.uniform(0.015, 0.032)),
        pelvis_turn=math.radians(rng.uniform(3.0, 7.0)),
        lean=math.radians(rng.uniform(-1.0, 5.0)),
        toe_out=math.radians(rng.uniform(1.0, 13.0)),
        toe_off=math.radians(rng.uniform(36.0, 46.0)),
        heel_strike=math.radians(rng.uniform(12.0, 20.0)),
        turn_step=math.radians(rng.uniform(32.0, 50.0)),
    )
    stoop, head_drop = math.radians(rng.uniform(-2.0, 6.0)), math.radians(rng.uniform(-2.0, 7.0))
    parkinson = None
    if population == "parkinson":
        parkinson, gait, tempo = _parkinsons_signs(gait, tempo, rng)
        stoop += math.radians(8.0 + 16.0 * parkinson.severity)
        head_drop += math.radians(6.0)
    hues = {part: tuple(float(c) for c in rng.uniform(0.15, 0.9, 3)) for part in ("shirt", "trousers", "shoes")}
    shade = rng.uniform(0.45, 1.0)
    skin = (0.92 * shade, 0.72 * shade, 0.58 * shade)
    hair = tuple(float(c) for c in rng.uniform(0.05, 0.5) * np.array([1.0, 0.8, 0.6]))
    colours = {name: (c[0], c[1], c[2]) for name, c in {**hues, "skin": skin, "hair": hair}.items()}
    mounting = {
        placement: from_rotation_vector(rng.normal(0.0, math.radians(mounting_sd_deg), 3)) for placement in PLACEMENTS
    }
    return Person(
        subject=f"sim_{POPULATIONS[population]}_{number:03d}",
        population=population,
        body=build,
        gait=gait,
        tempo=tempo,
        stoop=stoop,
        head_drop=head_drop,
        elbow=math.radians(rng.uniform(8.0, 28.0)),
        liveliness=float(rng.uniform(0.08, 0.35)) * (0.4 if parkinson else 1.0),
        colours=colours,
        mounting=mounting,
        parkinson=parkinson,
    )


def _parkinsons_signs(gait: Gait, tempo: float, rng: np.random.Generator) -> tuple[Parkinson, Gait, float]:
    severity = float(rng.uniform(0.4, 1.0))
    worse = SIDES[int(rng.integers(2))]
    tremor = math.radians(rng.uniform(2.5, 7.0))
    signs = Parkinson(
        severity=severity,
        tremor_hz=float(rng.uniform(4.2, 5.8)),
        tremor={side: tremor * (1.0 if side == worse else rng.uniform(0.35, 0.7)) for side in SIDES},
        freezes_per_step=float(rng.uniform(0.01, 0.06)) * severity,
    )
    small = 1.0 - 0.55 * severity
    changed = Gait(
        cadence=gait.cadence * (1.0 - 0.10 * severity),
        step_length=gait.step_length * small,
        step_width=gait.step_width,
        swing_share=gait.swing_share - 0.10 * severity,
        asymmetry=gait.asymmetry + float(rng.normal(0.0, 0.05)) * severity,
        arm_swing={
            side: swing * (1.0 - (0.85 if side == worse else 0.6) * severity) for side, swing in gait.arm_swing.items()
        },
        lift=gait.lift * (1.0 - 0.6 * severity),
        bob=gait.bob * small,
        sway=gait.sway,
        pelvis_turn=gait.pelvis_turn * small,
        lean=gait.lean + math.radians(4.0) * severity,
        toe_out=gait.toe_out,
        toe_off=gait.toe_off * (1.0 - 0.5 * severity),
        heel_strike=gait.heel_strike * (1.0 - 0.9 * severity),
        turn_step=gait.turn_step * (1.0 - 0.6 * severity),
    )
    return signs, changed, tempo * (1.0 + 0.8 * severity)
