"""What a comparison says, in a sentence that claims no more than was shown."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from experiments.statistics.differences import EXACT, Difference, smallest_p

LEVEL = 0.05  # of the corrected p-value
ROUNDING = 1e-12  # an interval that ends closer to 0 ends at 0

Outcome = Literal["better", "worse", "open", "too_few"]


@dataclass(frozen=True)
class Claim:
    """One method against another on one target at one number of shots.

    Attributes:
        first_title: as tables call the method that the claim is about.
        second_title: what it is compared with.
        dataset: name of the target.
        shots: labelled windows per class or whole subjects; 0 for no labels of the target.
        shots_unit: "windows" or "subjects".
        metric_title: e.g. "balanced accuracy".
        difference: first minus second in that metric, corrected for its family of comparisons.
        share: the metric is a share from 0 to 1, told in percentage points.
        more_is_better: false e.g. for calibration error and false alarms.
        simulated: what comes from the simulator: "simulated data", "pretrained on simulated data", or nothing.
        over_draws: 95 % interval of the difference over the draws of labels, where all subjects share these, NaN
            where there are too few draws for one; None where each fold has its own, so that the subjects' spread
            holds the draws' chance.
    """

    first_title: str
    second_title: str
    dataset: str
    shots: int
    shots_unit: str
    metric_title: str
    difference: Difference
    share: bool = True
    more_is_better: bool = True
    simulated: str = ""
    over_draws: tuple[float, float] | None = None


def outcome(claim: Claim) -> Outcome:
    """Whether the first method was shown to be better or worse.

    Interval and corrected p-value have to agree: the interval doesn't hold 0, and p is below ``LEVEL``. Where all
    subjects share the draws of labels, there must be an interval over these, and it must not hold 0 either: many
    people who were tested with one lucky draw say nothing of the next.

    Returns:
        ``too_few`` where so few subjects could not show anything: their smallest p is not below ``LEVEL``, or
        all of them agree, so that p is the smallest that there is, and its correction is not; ``open`` where
        nothing was shown otherwise, equal methods among them.
    """
    difference = claim.difference
    if _same(difference):
        return "open"
    if _too_few_alone(difference) or _too_few_for_the_family(difference):
        return "too_few"
    if difference.adjusted_p < LEVEL and not _holds_zero(difference) and not _hangs_on_draws(claim):
        return "better" if (difference.mean > 0) == claim.more_is_better else "worse"
    return "open"


def sentence_of(claim: Claim) -> str:
    """The claim's outcome as a sentence, with the difference, its interval, the people and the corrected p.

    For example "pretrained, linear probe beats handcrafted + random forest at k = 10 windows per class on Daphnet by
    4.1 points of balanced accuracy [1.2, 7.3] (11 subjects, p = 0.004 after correction for 24 comparisons)".
    """
    sentence = _sentence(claim)
    return f"{claim.simulated}: {sentence}" if claim.simulated else sentence


def _sentence(claim: Claim) -> str:
    difference = claim.difference
    first, second, where = claim.first_title, claim.second_title, _where(claim)
    people = _count(difference.subjects, "subject")
    if _same(difference):
        return f"{first} and {second} are the same {where}: equal {claim.metric_title} for each of {people}"
    found = outcome(claim)
    if found in ("better", "worse"):
        verb = "beats" if found == "better" else "loses to"
        return f"{first} {verb} {second} {where} by {_by(claim)} ({people}, {_p(difference)})"
    measured = f"measured {_by(claim, signed=True)}"
    if found == "too_few":
        floor = f"the smallest p that they can give is {_number(smallest_p(difference.subjects))}"
        reason = f"{people} {'is' if difference.subjects == 1 else 'are'} too few"
        if not _too_few_alone(difference):
            reason = f"{reason} for {difference.comparisons} comparisons"
            floor = f"{floor}, {_number(difference.adjusted_p)} after correction"
        return f"{first} against {second} {where} can't be decided: {reason} ({floor}); {measured}"
    reason = ""
    if not _holds_zero(difference):
        reason = "; the interval leaves out 0, the test does not bear it out"
        if difference.adjusted_p < LEVEL:
            reason = f"; it hangs on the draw of labels, the same for all: {_draws(claim)}"
    return f"no difference shown between {first} and {second} {where}: {measured} ({people}, {_p(difference)}){reason}"


def _same(difference: Difference) -> bool:
    """Equal for every subject: the interval of no spread."""
    return all(abs(value) <= ROUNDING for value in (difference.mean, difference.low, difference.high))


def _holds_zero(difference: Difference) -> bool:
    return difference.low <= ROUNDING and difference.high >= -ROUNDING


def _hangs_on_draws(claim: Claim) -> bool:
    # Written so that NaN, of too few draws, rules nothing out.
    return claim.over_draws is not None and not (claim.over_draws[0] > ROUNDING or claim.over_draws[1] < -ROUNDING)


def _draws(claim: Claim) -> str:
    assert claim.over_draws is not None
    if math.isnan(claim.over_draws[0]):
        return "these are too few for an interval over them"
    scale, digits = (100, 1) if claim.share else (1, 3)
    low, high = (f"{_no_minus_zero(scale * end, digits):+.{digits}f}" for end in claim.over_draws)
    return f"[{low}, {high}] over these"


def _too_few_alone(difference: Difference) -> bool:
    return smallest_p(difference.subjects) >= LEVEL


def _too_few_for_the_family(difference: Difference) -> bool:
    n = difference.subjects
    return n <= EXACT and difference.p <= smallest_p(n) and difference.adjusted_p >= LEVEL


def _where(claim: Claim) -> str:
    if claim.shots == 0:
        return f"without labels on {claim.dataset}"
    unit = "window" if claim.shots_unit == "windows" else "whole subject"
    return f"at k = {_count(claim.shots, unit)}{' per class' if unit == 'window' else ''} on {claim.dataset}"


def _by(claim: Claim, signed: bool = False) -> str:
    """The difference with its interval; without a sign it is that in the direction that was shown."""
    ends = (claim.difference.mean, claim.difference.low, claim.difference.high)
    if not signed and claim.difference.mean < 0:
        ends = (-ends[0], -ends[2], -ends[1])
    scale, digits = (100, 1) if claim.share else (1, 3)
    # A difference that was shown must not be told as one of 0.0.
    while not signed and abs(scale * ends[0]) < 0.5 * 10**-digits and digits < 6:
        digits += 1
    mean, low, high = (f"{_no_minus_zero(scale * end, digits):{'+' if signed else ''}.{digits}f}" for end in ends)
    unit = "points of " if claim.share else "in "
    interval = "" if "nan" in low else f" [{low}, {high}]"
    direction = "" if claim.more_is_better else ", less being better"
    return f"{mean} {unit}{claim.metric_title}{direction}{interval}"


def _no_minus_zero(value: float, digits: int) -> float:
    return round(value, digits) + 0.0


def _p(difference: Difference) -> str:
    after = f" after correction for {difference.comparisons} comparisons" if difference.comparisons > 1 else ""
    if difference.adjusted_p < 0.001:
        return f"p < 0.001{after}"
    return f"p = {_number(difference.adjusted_p)}{after}"


def _number(p: float) -> str:
    """Three decimals, more where rounding would take it to the other side of the level."""
    digits = 3
    while (round(p, digits) < LEVEL) != (p < LEVEL) and digits < 15:
        digits += 1
    return f"{p:.{digits}f}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
