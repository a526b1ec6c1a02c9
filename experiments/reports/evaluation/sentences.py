"""The sentence that answers an evaluation's question for one target, from a few facts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from experiments.reports.evaluation.titles import TITLES, method_title, parts_of

Standing = Literal["ahead", "behind", "equal", "open", "draws", "alone"]

_HOW = {  # the method, after "the pretrained encoder"
    "linear_probe": "linear probe",
    "finetune": "fine-tuned",
    "finetune_paper": "fine-tuned at the paper's rates",
    "finetune_tuned": "fine-tuned, rates chosen on training people",
    "knn": "nearest neighbours",
    "nearest_mean": "nearest class mean",
    "hybrid_logistic": "beside handcrafted features, logistic",
    "hybrid_mean": "beside handcrafted features, logistic and extra trees",
    "zero_shot": "zero-shot, source videos",
    "zero_shot_target": "zero-shot, target videos",
    "zero_shot_text": "zero-shot, text",
    "transfer_probe": "logistic",
    "transfer_logistic": "beside handcrafted features, logistic",
    "transfer_mean": "beside handcrafted features, logistic and extra trees",
    "transfer_hybrid": "beside handcrafted and pretrained features, logistic and extra trees",
}
_LEARNT_LABELS = ("transfer_probe", "transfer_logistic", "transfer_mean", "transfer_hybrid")
_NOT_SIMPLE = ("external", "supervised")  # baselines that are encoders too
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


@dataclass(frozen=True)
class Facts:
    """What a sentence says.

    Attributes:
        first: the contender that it is about.
        value: its mean score, from 0 to 1.
        shots: labelled windows per class, or labelled subjects; 0 for no labels of the target.
        unit: "windows" or "subjects".
        auroc: the event whose AUROC the score is; empty if the score is a share of windows.
        only: the only tested activity; empty if there are several.
        baseline: the baseline that came closest; empty if nothing was compared.
        baseline_value: its mean score.
        several_baselines: True if other baselines did no better than this one.
        random_weights: mean score of the control with random weights, if it is at least ``value``; None else.
        standing: what was shown: "ahead", "behind", "equal" for each subject, "open", "draws" if it depends on the
            draw of labels, "alone" for one subject.
        subjects: number of subjects of the comparison.
        pretrained: True if the contender is pretrained.
        baselines_elsewhere: True if there are baselines, but none to compare with: of other knowledge or shots.
        several_systems: True if the evaluation has several systems, so that the sentence must name its own.
        knowledge: what the contender knows of the tested subjects, see :mod:`experiments.evaluation.cells`.
        tested_simulated: True if the tested windows come from the simulator.
        pretraining_simulated: True if the encoder was pretrained on simulated recordings.
        seen_allowed: True if tested subjects may have been in pretraining.
    """

    first: str
    value: float
    shots: int
    unit: str = "windows"
    auroc: str = ""
    only: str = ""
    baseline: str = ""
    baseline_value: float = 0.0
    several_baselines: bool = False
    random_weights: float | None = None
    standing: Standing = "open"
    subjects: int = 0
    pretrained: bool = True
    baselines_elsewhere: bool = False
    several_systems: bool = False
    knowledge: str = "none"
    tested_simulated: bool = False
    pretraining_simulated: bool = False
    seen_allowed: bool = False


def answer_sentence(facts: Facts) -> str:
    """Say how well people are recognised, how well without pretraining, and if that is certain.

    For example "On people it never saw, the pretrained encoder (linear probe) recognises 75.6 % with 4 labelled windows
    an activity; the best simple method (handcrafted + logistic) 69.5 %; with four people that is not certain."
    """
    if not facts.pretrained:
        return f"{_where(facts)}, {_without_pretraining(facts)}."
    said = f"{_where(facts)}, {_subject(facts)} {_score(facts, facts.value)} {_labels(facts)}"
    if facts.baseline:
        said = f"{said}; {_baseline(facts)} {_number(facts, facts.baseline_value)}; {_certainty(facts)}."
        if facts.random_weights is None:
            return said
        return f"{said} An encoder with random weights does no worse: {_number(facts, facts.random_weights)}."
    missing = "no simple method was evaluated beside it"
    if facts.baselines_elsewhere:
        missing = "no simple method was evaluated that knows as much"
    return f"{said}; {missing}, so what pretraining gains stays open."


def count_of(number: int, noun: str, nouns: str) -> str:
    """Write "one person", "twelve people", "13 people"."""
    said = _NUMBERS[number] if number < len(_NUMBERS) else str(number)
    return f"{said} {noun if number == 1 else nouns}"


def _where(facts: Facts) -> str:
    people = "simulated people" if facts.tested_simulated else "people"
    if not facts.pretrained:
        return f"On {people} who gave no labels"
    if facts.seen_allowed:
        return f"On {people} of whom it may have seen some in pretraining"
    return f"On {people} it never saw"


def _subject(facts: Facts) -> str:
    method, _, system = parts_of(facts.first)
    how = _HOW.get(method, method.replace("_", " "))
    known = {"unlabelled": "with the person's unlabelled windows", "shares": "with the person's assumed shares"}
    how = f"{how}, {known[facts.knowledge]}" if facts.knowledge in known else how
    if facts.several_systems:
        return f"'{system}' ({how})" if system else f"the run itself ({how})"
    if method in _LEARNT_LABELS:
        return f"the encoder that learnt other data sets' labels ({how})"
    simulated = facts.pretraining_simulated and not facts.tested_simulated
    return f"the encoder pretrained on simulated people ({how})" if simulated else f"the pretrained encoder ({how})"


def _without_pretraining(facts: Facts) -> str:
    title, score, labels = method_title(facts.first), _score(facts, facts.value), _labels(facts)
    if facts.baselines_elsewhere:  # a baseline, and no control
        which = "the best method" if facts.several_baselines else "the one method"
        return f"{which} without pretraining ({title}) {score} {labels}; no pretrained encoder was evaluated"
    return f"{title} {score} {labels}; only controls were evaluated, which say nothing about pretraining"


def _score(facts: Facts, value: float) -> str:
    if facts.auroc:
        return f"tells {facts.auroc} from all else with an AUROC of {_number(facts, value)}"
    only = f" of the windows of {facts.only}, the only activity tested," if facts.only else ""
    return f"recognises {_number(facts, value)}{only}"


def _number(facts: Facts, value: float) -> str:
    return f"{value:.3f}" if facts.auroc else f"{100 * value:.1f} %"


def _labels(facts: Facts) -> str:
    if facts.shots == 0:
        return "without labels"
    if facts.unit == "subjects":
        return f"with all windows of {count_of(facts.shots, 'person', 'people')} labelled"
    return f"with {facts.shots} labelled window{'' if facts.shots == 1 else 's'} an activity"


def _baseline(facts: Facts) -> str:
    method, _, system = parts_of(facts.baseline)
    if method == "majority":
        return "the most frequent activity as every answer"
    title = TITLES.get(method, method.replace("_", " "))
    title = f"{title}, {system}" if system else title
    best = "best" if facts.several_baselines else "one"
    kind = "baseline" if method in _NOT_SIMPLE else "simple method"
    return f"the {best} {kind} ({title})"


def _certainty(facts: Facts) -> str:
    people = count_of(facts.subjects, "person", "people")
    return {
        "ahead": f"with {people} it is certain that pretraining is ahead",
        "behind": f"with {people} it is certain that pretraining is behind",
        "equal": f"for each of the {people} they are equal",
        "open": f"with {people} that is not certain",
        "draws": "that depends on which windows are labelled, so it is not certain",
        "alone": "one person says nothing certain about others",
    }[facts.standing]
