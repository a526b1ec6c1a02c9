"""Claims about one comparison of two methods: the outcome, and a sentence that claims no more than was shown."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from experiments.evaluation.cells import KNOWS_NOTHING
from experiments.statistics.differences import EXACT, Difference, smallest_p

LEVEL = 0.05  # the corrected p-value must be below
ROUNDING = 1e-12  # an end of an interval that is closer to 0 counts as 0

Outcome = Literal["better", "worse", "open", "too_few"]


@dataclass(frozen=True)
class Claim:
    """One method against another on one target at one number of shots.

    Attributes:
        first_title: title of the method that the claim is about.
        second_title: title of the method that it is compared with.
        dataset: name of the target.
        shots: labelled windows per class, or labelled subjects; 0 for no labels of the target.
        shots_unit: "windows" or "subjects".
        metric_title: title of the metric, e.g. "balanced accuracy".
        difference: first minus second in that metric, corrected for its family of comparisons.
        share: True if the metric is a share from 0 to 1, reported in percentage points.
        more_is_better: False e.g. for calibration error and false alarms.
        simulated: part of the simulator: "simulated data", "pretrained on simulated data", or "".
        over_draws: 95 % interval of the difference over the draws of labels, if all subjects share the draws; NaN
            with too few draws for an interval. None if each fold has its own draws: the spread over subjects then
            contains the chance of the draws.
        knowledge: what both methods know of a tested subject besides the window that they predict.
        second_knowledge: the second's, if it is not the same: such methods must not be compared.

    Raises:
        ValueError: the methods differ in what they know of the tested subjects.
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
    knowledge: str = KNOWS_NOTHING
    second_knowledge: str | None = None

    def __post_init__(self) -> None:
        if self.second_knowledge not in (None, self.knowledge):
            raise ValueError(
                f"{self.first_title} knows '{self.knowledge}' of the tested subjects, {self.second_title}"
                f" '{self.second_knowledge}'; expected methods of the same knowledge"
            )

    @property
    def is_same(self) -> bool:
        """True if the methods are equal for each subject."""
        return _same(self.difference)


def outcome(claim: Claim) -> Outcome:
    """Decide if the first method was shown to be better or worse.

    Interval and corrected p-value must agree: the interval doesn't hold 0, and p is below ``LEVEL``. If all subjects
    share the draws of labels, there must be an interval over the draws too, and it must not hold 0: results of many
    subjects on one lucky draw say nothing about the next draw.

    Returns:
        ``too_few`` if so few subjects can't show anything. Either their smallest possible p is not below ``LEVEL``, or
        all subjects agree, p is the smallest possible, and the corrected p is not below ``LEVEL``. ``open`` in all
        other cases without a result, also for equal methods.
    """
    difference = claim.difference
    if _same(difference):
        return "open"
    if _too_few_alone(difference) or _too_few_for_the_family(difference):
        return "too_few"
    if difference.adjusted_p < LEVEL and not _holds_zero(difference) and not _depends_on_draws(claim):
        return "better" if (difference.mean > 0) == claim.more_is_better else "worse"
    return "open"


def sentence_of(claim: Claim) -> str:
    """Write the outcome as a sentence, with the difference, its interval, the number of subjects and the corrected p.

    For example "pretrained, linear probe beats handcrafted + random forest at k = 10 windows per class on Daphnet by
    4.1 points of balanced accuracy [1.2, 7.3] (11 subjects, p = 0.004 after correction for 24 comparisons)".
    """
    sentence = _sentence(claim)
    return f"{claim.simulated}: {sentence}" if claim.simulated else sentence


def _sentence(claim: Claim) -> str:
    difference = claim.difference
    first, second, where = claim.first_title, claim.second_title, _where(claim)
    subjects = _count(difference.subjects, "subject")
    if _same(difference):
        return f"{first} and {second} are the same {where}: equal {claim.metric_title} for each of {subjects}"
    found = outcome(claim)
    if found in ("better", "worse"):
        verb = "beats" if found == "better" else "loses to"
        return f"{first} {verb} {second} {where} by {_by(claim)} ({subjects}, {_p(difference)})"
    measured = f"measured {_by(claim, signed=True)}"
    if found == "too_few":
        floor = f"their smallest possible p is {_number(smallest_p(difference.subjects))}"
        reason = f"{subjects} {'is' if difference.subjects == 1 else 'are'} too few"
        if not _too_few_alone(difference):
            reason = f"{reason} for {difference.comparisons} comparisons"
            floor = f"{floor}, {_number(difference.adjusted_p)} after correction"
        return f"{first} against {second} {where} can't be decided: {reason} ({floor}); {measured}"
    reason = ""
    if not _holds_zero(difference):
        reason = "; the interval leaves out 0, but the test does not confirm it"
        if difference.adjusted_p < LEVEL:
            reason = f"; the result depends on the draw of labels, which all subjects share: {_draws(claim)}"
    return (
        f"no difference shown between {first} and {second} {where}: {measured} ({subjects}, {_p(difference)}){reason}"
    )


def _same(difference: Difference) -> bool:
    """Decide if the methods are equal for every subject: the interval has no width."""
    return all(abs(value) <= ROUNDING for value in (difference.mean, difference.low, difference.high))


def _holds_zero(difference: Difference) -> bool:
    return difference.low <= ROUNDING and difference.high >= -ROUNDING


def _depends_on_draws(claim: Claim) -> bool:
    # Written so that NaN, for too few draws, counts as an interval that holds 0.
    return claim.over_draws is not None and not (claim.over_draws[0] > ROUNDING or claim.over_draws[1] < -ROUNDING)


def _draws(claim: Claim) -> str:
    assert claim.over_draws is not None
    if math.isnan(claim.over_draws[0]):
        return "too few draws for an interval over draws"
    scale, digits = (100, 1) if claim.share else (1, 3)
    low, high = (f"{_no_minus_zero(scale * end, digits):+.{digits}f}" for end in claim.over_draws)
    return f"the interval over draws is [{low}, {high}]"


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
    """Write the difference with its interval; an unsigned difference points in the direction that was shown."""
    ends = (claim.difference.mean, claim.difference.low, claim.difference.high)
    if not signed and claim.difference.mean < 0:
        ends = (-ends[0], -ends[2], -ends[1])
    scale, digits = (100, 1) if claim.share else (1, 3)
    # A difference that was shown must not be written as 0.0.
    while not signed and abs(scale * ends[0]) < 0.5 * 10**-digits and digits < 6:
        digits += 1
    mean, low, high = (f"{_no_minus_zero(scale * end, digits):{'+' if signed else ''}.{digits}f}" for end in ends)
    unit = "points of " if claim.share else "in "
    interval = "" if "nan" in low else f" [{low}, {high}]"
    direction = "" if claim.more_is_better else " (less is better)"
    return f"{mean} {unit}{claim.metric_title}{direction}{interval}"


def _no_minus_zero(value: float, digits: int) -> float:
    return round(value, digits) + 0.0


def _p(difference: Difference) -> str:
    after = f" after correction for {difference.comparisons} comparisons" if difference.comparisons > 1 else ""
    if difference.adjusted_p < 0.001:
        return f"p < 0.001{after}"
    return f"p = {_number(difference.adjusted_p)}{after}"


def _number(p: float) -> str:
    """Write p with three decimals, or more if rounding would cross the level."""
    digits = 3
    while (round(p, digits) < LEVEL) != (p < LEVEL) and digits < 15:
        digits += 1
    return f"{p:.{digits}f}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


@dataclass(frozen=True)
class BaselineVerdict:
    """One method against the best of several baselines.

    Which baseline is best is not known, and choosing it by the tested people would flatter the others. So the method is
    compared with each: it is above the best if it was shown to be above all. No further correction is needed for that
    (Berger 1982, "Multiparameter hypothesis testing and acceptance sampling"): the family's own covers each claim.

    Attributes:
        claims: claims of the same method, target and number of shots against each baseline, at least one.
    """

    claims: tuple[Claim, ...]

    @property
    def outcome(self) -> Outcome:
        """``better`` if better than all baselines, ``worse`` if worse than any, ``too_few`` if none can be decided."""
        outcomes = [outcome(claim) for claim in self.claims]
        if all(found == "better" for found in outcomes):
            return "better"
        if "worse" in outcomes:
            return "worse"
        return "too_few" if all(found == "too_few" for found in outcomes) else "open"

    @property
    def closest(self) -> Claim:
        """The claim with the smallest gain, or the largest loss."""
        return min(self.claims, key=lambda claim: claim.difference.mean * (1 if claim.more_is_better else -1))

    @property
    def depends_on_draws(self) -> bool:
        """True if the claims would be decided, were it not for the draws of labels, which all subjects share."""
        plain = BaselineVerdict(tuple(replace(claim, over_draws=None) for claim in self.claims))
        return self.outcome == "open" and plain.outcome in ("better", "worse")

    @property
    def sentence(self) -> str:
        """The verdict as a sentence, with the difference to the baseline that came closest."""
        first = self.claims[0]
        words = {
            "better": "is above the best of",
            "worse": "is below the best of",
            "open": "is not shown to be above the best of",
            "too_few": "has too few subjects to be compared with the best of",
        }[self.outcome]
        unlike = "" if first.knowledge == KNOWS_NOTHING else f" of the same knowledge ({first.knowledge})"
        text = (
            f"{first.first_title} {words} {_count(len(self.claims), 'baseline')}{unlike} {_where(first)}; closest is"
            f" {self.closest.second_title}: {_by(self.closest, signed=True)}"
        )
        return f"{first.simulated}: {text}" if first.simulated else text
