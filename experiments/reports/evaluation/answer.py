"""The answer of an evaluation: one sentence a target, one small table."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from experiments.evaluation.cells import KNOWS_NOTHING, KNOWS_SHARES, KNOWS_UNLABELLED
from experiments.reports.evaluation.comparisons import Planned
from experiments.reports.evaluation.content import Report
from experiments.reports.evaluation.roles import BASELINES, CONTROLS, METRIC, pretrained
from experiments.reports.evaluation.sentences import Facts, Standing, answer_sentence
from experiments.reports.evaluation.titles import parts_of, short_title
from experiments.reports.shared.table import Table
from experiments.statistics.groups import Key
from experiments.statistics.intervals import FEWEST

HEADLINE = 5  # labelled windows per class; the evaluated number that is nearest is in the sentence
_KNOWLEDGE = (KNOWS_NOTHING, KNOWS_UNLABELLED, KNOWS_SHARES)  # a sentence is about those who know the least
_STANDING: dict[str, Standing] = {"better": "ahead", "worse": "behind", "open": "open", "too_few": "open"}
_CERTAIN = {"ahead": "yes, ahead", "behind": "yes, behind", "equal": "equal"}


@dataclass(frozen=True)
class Answer:
    """The answer for one target, or for one system on it.

    Attributes:
        dataset: name of the target.
        system: name of the system, if there are several.
        sentence: the answer.
        standing: what was shown about pretraining; empty if nothing was compared.
        planned: the planned comparison of the sentence, if there is one.
        contenders: the contenders that the sentence is about, and the control with random weights; for the curve.
    """

    dataset: str
    system: str
    sentence: str
    standing: Standing | None
    planned: Planned | None
    contenders: tuple[str, ...]


def answers_of(report: Report) -> list[Answer]:
    """Answer for each target, and there for each system, in order."""
    found = []
    for dataset in report.datasets():
        contenders = _measured(report, dataset)
        candidates = pretrained({name: report.of(dataset, name) for name in contenders})
        systems = list(dict.fromkeys(parts_of(name)[2] for name in _in_results(report, dataset, candidates)))
        for system in systems or [""]:
            own = [name for name in candidates if parts_of(name)[2] == system]
            found.append(_answer(report, dataset, system, own, contenders, several=len(systems) > 1))
    return found


def answer_table(report: Report) -> Table | None:
    """Make the small table: a row for each target and system, or for each number of shots if there is only one.

    Returns:
        None if nothing was compared.
    """
    compared = [(answer, answer.planned) for answer in answers_of(report) if answer.planned is not None]
    if not compared:
        return None
    heads: tuple[str, ...] = ("labels", "pretrained", "best baseline", "difference", "certain?")
    targets = {answer.dataset for answer, _ in compared}
    if len(compared) > 1:
        said = {report.flags(dataset) for dataset in targets}
        flags = said.pop() if len(said) == 1 else ""  # of all targets, or of each in its row
        rows = [(_row_title(report, answer, len(targets), bool(said)), *_row(planned)) for answer, planned in compared]
        name, rows_are = "", "system" if len(targets) == 1 else "target"
    else:
        ((answer, chosen),) = compared
        rows = [_row(planned) for planned in report.planned if _goes_with(planned, chosen)]
        name, flags, (rows_are, *heads_left) = answer.dataset, report.flags(answer.dataset), heads
        heads = tuple(heads_left)
    metrics = {planned.metric for _, planned in compared}
    score = "balanced accuracy, %" if METRIC in metrics else "AUROC"
    score = "balanced accuracy in %, or AUROC" if len(metrics) > 1 else score
    return Table(
        f"{name}: {score}{flags}" if name else f"{score}{flags}", rows_are, heads, tuple(rows), _note(report, metrics)
    )


def _goes_with(planned: Planned, chosen: Planned) -> bool:
    """Select the sentence's contender at all numbers of shots, and those that need no labels."""
    if planned.claim.dataset != chosen.claim.dataset:
        return False
    return planned.first == chosen.first or 0 == planned.claim.shots < chosen.claim.shots


def _note(report: Report, metrics: Collection[str]) -> str:
    n = len(report.planned)
    how = {"holm": "Holm's", "westfall_young": "Westfall and Young's"}[report.correction]
    after = f" after {how} correction for {n} planned comparisons" if n > 1 else ""
    intervals = any(planned.claim.difference.subjects >= FEWEST for planned in report.planned)
    of = "in points" if METRIC in metrics else "one of AUROCs"
    of = "in points, or one of AUROCs" if len(metrics) > 1 else of
    brackets = ", in brackets its 95 % interval over people" if intervals else ""
    return (
        f"Both scores are of the same people and draws of labels; the difference is {of}{brackets}."
        f" Certain: p < 0.05{after}."
    )


def _row_title(report: Report, answer: Answer, targets: int, with_flags: bool) -> str:
    if targets == 1:
        return answer.system or "the run itself"
    name = f"{answer.dataset}{report.flags(answer.dataset)}" if with_flags else answer.dataset
    return f"{name}, {answer.system}" if answer.system else name


def _labels(planned: Planned) -> str:
    shots, unit = planned.claim.shots, planned.claim.shots_unit
    if shots == 0:
        return "none"
    if unit == "subjects":
        return "1 person" if shots == 1 else f"{shots} people"
    return f"{shots} an activity"


def _row(planned: Planned) -> tuple[str, ...]:
    scale, digits = (100, 1) if planned.metric == METRIC else (1, 3)
    first, best = (f"{scale * mean:.{digits}f}" for mean in planned.means)
    d = planned.claim.difference
    difference = f"{scale * d.mean:+.{digits}f}"
    if not math.isnan(d.low):
        difference += f" [{scale * d.low:+.{digits}f}, {scale * d.high:+.{digits}f}]"
    certain = _CERTAIN.get(_standing(planned), "no")
    return (
        _labels(planned),
        f"{first} ({short_title(planned.first.partition('@')[0])})",  # the row or the sentence names the system
        f"{best} ({short_title(planned.second)})",
        difference,
        certain,
    )


def _standing(planned: Planned) -> Standing:
    claim = planned.claim
    if claim.difference.subjects == 1:
        return "alone"
    if claim.is_same:
        return "equal"
    if planned.outcome == "open" and planned.verdict.depends_on_draws:
        return "draws"
    return _STANDING[planned.outcome]


def _answer(
    report: Report, dataset: str, system: str, own: Sequence[str], contenders: Sequence[str], several: bool
) -> Answer:
    planned = [p for p in report.planned if p.claim.dataset == dataset and p.first in own]
    if planned:
        return _compared(report, dataset, system, planned, contenders, several)
    baselines = [name for name in contenders if parts_of(name)[0] in BASELINES and not _is_control(name)]
    rest = own or baselines or contenders
    if not rest:
        return Answer(dataset, system, "Nothing could be evaluated; the notes of this target say why.", None, None, ())
    key = _headline(key for name in rest for key in _keys(report, dataset, name))
    there = [name for name in rest if key._replace(contender=name) in _keys(report, dataset, name)]
    means = {name: report.estimate(dataset, METRIC, key._replace(contender=name)) for name in there}
    first, estimate = max(((name, e) for name, e in means.items() if e is not None), key=lambda item: item[1].mean)
    facts = Facts(
        first,
        estimate.mean,
        key.shots,
        key.unit,
        only=_only(report, dataset),
        several_baselines=len(there) > 1,
        pretrained=bool(own),
        baselines_elsewhere=bool(baselines),
        several_systems=several,
        knowledge=report.of(dataset, first)[0].cell.knowledge,
        tested_simulated=dataset in report.simulated_targets,
        pretraining_simulated=report.pretraining_simulated,
        seen_allowed=report.seen_allowed,
    )
    return Answer(dataset, system, answer_sentence(facts), None, None, (first,))


def _compared(
    report: Report, dataset: str, system: str, planned: Sequence[Planned], contenders: Sequence[str], several: bool
) -> Answer:
    """Answer by the planned comparison with the largest gain, or smallest loss, at the headline's number of shots."""
    least = min(_KNOWLEDGE.index(p.claim.knowledge) for p in planned)
    alike = [p for p in planned if _KNOWLEDGE.index(p.claim.knowledge) == least]
    key = _headline(Key("", p.claim.shots_unit, p.claim.shots, "") for p in alike)
    there = [p for p in alike if (p.claim.shots_unit, p.claim.shots) == (key.unit, key.shots)]
    chosen = max(there, key=lambda p: p.claim.difference.mean)
    standing = _standing(chosen)
    event = next((r.event for r in report.of(dataset) if r.event), "")
    facts = Facts(
        chosen.first,
        chosen.means[0],
        key.shots,
        key.unit,
        auroc="" if chosen.metric == METRIC else event.replace("_", " "),
        only=_only(report, dataset) if chosen.metric == METRIC else "",
        baseline=chosen.second,
        baseline_value=chosen.means[1],
        several_baselines=len(chosen.seconds) > 1,
        standing=standing,
        subjects=chosen.claim.difference.subjects,
        several_systems=several,
        knowledge=chosen.claim.knowledge,
        tested_simulated=dataset in report.simulated_targets,
        pretraining_simulated=report.pretraining_simulated,
        seen_allowed=report.seen_allowed,
    )
    controls = _random_weights(chosen.first, contenders)
    random = [report.estimate(dataset, chosen.metric, key._replace(contender=name)) for name in controls]
    if random and random[0] is not None and random[0].mean >= chosen.means[0]:
        facts = replace(facts, random_weights=random[0].mean)
    names = (chosen.first, chosen.second, *controls)
    return Answer(dataset, system, answer_sentence(facts), standing, chosen, names)


def _random_weights(contender: str, contenders: Collection[str]) -> list[str]:
    """Name the control of a pretrained contender that has random weights and knows as much, if it was evaluated."""
    method, adaptations, system = parts_of(contender)
    control = "+".join(("hybrid_random" if method.startswith("hybrid") else "random_frozen", *adaptations))
    return [name for name in (control, f"{control}@{system}") if name in contenders][:1]


def _measured(report: Report, dataset: str) -> list[str]:
    """List the contenders with any result, in the order of the tables."""
    return [name for name in report.contenders(dataset) if _keys(report, dataset, name)]


def _keys(report: Report, dataset: str, contender: str) -> list[Key]:
    return [
        key
        for key, cells in report.groups[dataset].items()
        if key.contender == contender
        and key.perturbation == ""
        and any(METRIC in values for r in cells for values in r.by_subject.values())
    ]


def _in_results(report: Report, dataset: str, contenders: Iterable[str]) -> list[str]:
    """Sort contenders as they come in the results: systems in the order in which they were named."""
    order = list(dict.fromkeys(key.contender for key in report.groups[dataset]))
    return sorted(contenders, key=order.index)


def _headline(keys: Iterable[Key]) -> Key:
    """Choose the number of shots nearest to ``HEADLINE``, of windows before subjects; without labels comes last."""
    return min(keys, key=lambda k: (k.shots == 0, k.unit != "windows", _far(k.shots), k.shots))


def _far(shots: int) -> float:
    return round(abs(math.log(shots / HEADLINE)), 9) if shots else 0.0


def _is_control(contender: str) -> bool:
    return bool(set(parts_of(contender)[1]) & set(CONTROLS))


def _only(report: Report, dataset: str) -> str:
    tested = report.tested(dataset)
    return next(iter(tested)).replace("_", " ") if len(tested) == 1 else ""
