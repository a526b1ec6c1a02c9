"""What is done to tested windows to see how far a method can be trusted: one change at a time, in known degrees.

A method is fitted on windows as they are and then tested on changed ones, so that a curve over the degrees shows
what a sensor worn askew, a cheaper sensor or a lost gyroscope costs. A condition is written "rotation=90"; a window's
changes depend on its own number and the condition alone.

Shape legend: N windows, T samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly
from scipy.spatial.transform import Rotation

from datamodules.recording import STANDARD_GRAVITY

Windows = tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]


class ConditionError(ValueError):
    """A condition that can't be understood; the message lists what is known."""


@dataclass(frozen=True)
class Kind:
    """A way in which windows can be changed.

    Attributes:
        title: how reports call it.
        axis: of its curve, with the unit.
        clean: the degree that changes nothing; None where there is no such number.
        levels: degrees that are evaluated where a kind is named without one.
    """

    title: str
    axis: str
    clean: float | None
    levels: tuple[float, ...]


KINDS = {
    "rotation": Kind("sensor rotated", "rotation about a random axis, degrees", 0, (15, 30, 60, 90, 135, 180)),
    "rate": Kind("lower sampling rate", "sampling rate, Hz", None, (12.5, 25, 50, 100)),
    "noise": Kind("sensor noise", "white noise added, m/s2 and rad/s (standard deviation)", 0, (0.1, 0.3, 1, 3)),
    "clip": Kind("clipped range", "accelerometer range, g", None, (1.5, 2, 3, 4, 8)),
    "gyroscope": Kind("gyroscope missing", "gyroscope (0: missing)", 1, (0,)),
}


@dataclass(frozen=True)
class Condition:
    """One kind in one degree."""

    kind: str
    level: float

    def __str__(self) -> str:
        return f"{self.kind}={self.level:g}"


def parse_condition(text: str) -> Condition:
    """The inverse of ``str(condition)``.

    Raises:
        ConditionError: an unknown kind, or no number.
    """
    kind, _, level = text.partition("=")
    if kind not in KINDS:
        raise ConditionError(f"condition '{text}': no kind '{kind}'; there are: {', '.join(KINDS)}")
    try:
        return Condition(kind, float(level))
    except ValueError:
        raise ConditionError(
            f"condition '{text}': expected a number after '=', as in '{kind}={KINDS[kind].levels[0]:g}'"
        ) from None
