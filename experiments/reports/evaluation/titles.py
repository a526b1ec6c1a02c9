"""Titles and number formats of tables and figures."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from experiments.statistics.results import Estimate

TITLES = {  # in the order of the tables' rows
    "majority": "majority",
    "zero_shot_text": "zero-shot, text",
    "zero_shot": "zero-shot, source videos",
    "zero_shot_target": "zero-shot, target videos",
    "source_logistic": "no target label: handcrafted, logistic on other sets",
    "source_trees": "no target label: handcrafted, extra trees on other sets",
    "source_mean": "no target label: handcrafted, logistic and extra trees on other sets",
    "source_prototypes": "no target label: encoder from other sets' labels, prototypes",
    "source_probe": "no target label: encoder from other sets' labels, logistic",
    "handcrafted_rf": "handcrafted + random forest",
    "handcrafted_trees": "handcrafted + extra trees",
    "handcrafted_logistic": "handcrafted + logistic",
    "handcrafted_mean": "handcrafted + logistic and extra trees",
    "catch22": "catch22, logistic",
    "minirocket": "MiniRocket, ridge",
    "minirocket_logistic": "MiniRocket, logistic",
    "hydra": "Hydra, ridge",
    "handcrafted_hydra": "handcrafted + logistic and extra trees, and Hydra",
    "external": "external encoder, logistic",
    "random_frozen": "random frozen encoder, probe",
    "supervised": "supervised from scratch",
    "knn": "pretrained, nearest neighbours",
    "nearest_mean": "pretrained, nearest class mean",
    "linear_probe": "pretrained, linear probe",
    "finetune_paper": "fine-tuned, paper's rates",
    "finetune_tuned": "fine-tuned, rates chosen on training subjects",
    "finetune": "pretrained, fine-tuned",
    "finetune_safe": "probe, fine-tuned or from scratch, chosen on training subjects",
    "finetune_mean": "fine-tuned and from scratch, averaged",
    "whitened_logistic": "handcrafted, whitened by other sets' labels, logistic",
    "transfer_probe": "encoder from other sets' labels, logistic",
    "transfer_logistic": "handcrafted + encoder from other sets' labels, logistic",
    "transfer_mean": "handcrafted + encoder from other sets' labels, logistic and extra trees",
    "transfer_hydra": "handcrafted + encoder from other sets' labels, logistic and extra trees, and Hydra",
    "transfer_hybrid": "handcrafted + pretrained + encoder from other sets' labels, logistic and extra trees",
    "hybrid_random": "handcrafted + random encoder, logistic",
    "hybrid_logistic": "handcrafted + pretrained, logistic",
    "hybrid_mean": "handcrafted + pretrained, logistic and extra trees",
    "hybrid_hydra": "handcrafted + pretrained, logistic and extra trees, and Hydra",
}
SHORT = {  # in the small table and the small curves, which a sentence explains
    "majority": "majority",
    "zero_shot_text": "zero-shot, text",
    "zero_shot": "zero-shot",
    "zero_shot_target": "zero-shot, target videos",
    "handcrafted_rf": "random forest",
    "handcrafted_trees": "extra trees",
    "handcrafted_logistic": "logistic",
    "handcrafted_mean": "logistic and trees",
    "catch22": "catch22",
    "minirocket": "MiniRocket",
    "minirocket_logistic": "MiniRocket, logistic",
    "hydra": "Hydra",
    "handcrafted_hydra": "logistic, trees and Hydra",
    "external": "external encoder",
    "random_frozen": "random weights",
    "supervised": "from scratch",
    "knn": "nearest neighbours",
    "nearest_mean": "nearest mean",
    "linear_probe": "linear probe",
    "finetune_paper": "fine-tuned, paper's rates",
    "finetune_tuned": "fine-tuned, rates chosen",
    "finetune": "fine-tuned",
    "finetune_safe": "fine-tuned or not, chosen",
    "finetune_mean": "fine-tuned, mean",
    "whitened_logistic": "whitened, logistic",
    "transfer_probe": "transfer, probe",
    "transfer_logistic": "transfer, logistic",
    "transfer_mean": "transfer, mean",
    "transfer_hydra": "transfer and Hydra, mean",
    "transfer_hybrid": "transfer and hybrid",
    "hybrid_random": "hybrid, random weights",
    "hybrid_logistic": "hybrid, logistic",
    "hybrid_mean": "hybrid, mean",
    "hybrid_hydra": "hybrid and Hydra, mean",
}
ADAPTED = {  # what an adaptation adds to a method's title, in the order of the rows
    "views": "labels augmented",
    "pseudo_labels": "pseudo-labels",
    "person": "person's statistics",
    "person_other": "person's statistics, from other activities",
    "em": "shares by EM",
    "neighbours": "similar windows joined",
    "neighbours_other": "joined with other activities",
    "smoothed": "smoothed over time",
    "balanced": "balanced shares",
    "balanced_other": "shares balanced over other activities",
    "personal": "and labels of the person",
    "personal_none": "without labels of the person, on the same later windows",
}
KNOWN_OF_THE_PERSON = "known of the tested person"
KNOWLEDGE = {
    "none": "nothing",
    "unlabelled": "unlabelled windows",
    "shares": "unlabelled windows, shares of activities",
    "labels": "labels of earlier windows",
}


@dataclass(frozen=True)
class Metric:
    """Format of a metric.

    Attributes:
        title: title, with the unit if the metric is no share.
        percent: tables give the metric in %.
        digits: digits after the point.
        share: the metric is never above 1.
        signed: the metric may be below 0.
    """

    title: str
    percent: bool = True
    digits: int = 1
    share: bool = True
    signed: bool = False


METRICS = {  # of every evaluation
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro-F1",
    "accuracy": "accuracy",
    "calibration_error": "calibration error",
}
RANKING = {
    "recall@1": Metric("recall@1, %"),
    "recall@3": Metric("recall@3, %"),
    "recall@5": Metric("recall@5, %"),
    "mrr": Metric("MRR", percent=False, digits=3),
}
EVENT = {
    "auroc": Metric("AUROC", percent=False, digits=3),
    "auprc": Metric("AUPRC", percent=False, digits=3),
    "chance_auprc": Metric("AUPRC by chance", percent=False, digits=3),
    "event_sensitivity": Metric("sensitivity, %"),
    "event_precision": Metric("precision, %"),
    "detections_per_hour": Metric("detections per hour", percent=False, share=False),
    "false_alarms_per_hour": Metric("false alarms per hour", percent=False, share=False),
}

TRANSITIONS = {
    "transition_share": Metric("windows with a transition, %"),
    "accuracy_pure": Metric("accuracy, pure, %"),
    "accuracy_transition": Metric("accuracy, transition, %"),
    "balanced_accuracy_pure": Metric("balanced accuracy, pure, %"),
    "balanced_accuracy_transition": Metric("balanced accuracy, transition, %"),
}
EPISODES = {
    "episodes": Metric("episodes a subject", percent=False, digits=1, share=False),
    "episode_sensitivity": Metric("episodes found, %"),
    "episode_false_alarms_per_hour": Metric("false alarms per hour", percent=False, digits=1, share=False),
    "onset_error_s": Metric("onset error, s", percent=False, digits=1, share=False),
    "onset_delay_s": Metric("onset delay, s", percent=False, digits=1, share=False, signed=True),
}


def method_title(contender: str) -> str:
    """Write the title of a method, adapted or not, or of a method of one system ("linear_probe+person@imu_only")."""
    method, names, system = parts_of(contender)
    title = TITLES.get(method, method.replace("_", " "))
    title = f"{title} ({system})" if system else title
    adapted = " and ".join(ADAPTED.get(name, name.replace("_", " ")) for name in names)
    return f"{title}; {adapted}" if adapted else title


def short_title(contender: str) -> str:
    """Write a contender in a few words, for places that a sentence explains."""
    method, names, system = parts_of(contender)
    title = "; ".join([SHORT.get(method, method.replace("_", " ")), *(name.replace("_", " ") for name in names)])
    return f"{title}, {system}" if system else title


def parts_of(contender: str) -> tuple[str, tuple[str, ...], str]:
    """Split a contender into method, adaptations and system."""
    whole, _, system = contender.partition("@")
    method, *adaptations = whole.split("+")
    return method, tuple(adaptations), system


def in_order(contenders: Collection[str]) -> list[str]:
    """Sort contenders from the least to the most learning; contenders without a title come last, systems go by name."""
    known, adapted = list(TITLES), list(ADAPTED)

    def key(contender: str) -> tuple[int, str, str, list[int], tuple[str, ...]]:
        method, names, system = parts_of(contender)
        at = [adapted.index(name) if name in ADAPTED else len(adapted) for name in names]
        return known.index(method) if method in TITLES else len(known), method, system, at, names

    return sorted(contenders, key=key)


def show(
    value: Estimate, percent: bool = True, digits: int | None = None, share: bool = True, signed: bool = False
) -> str:
    """Write ``61.2 [55.0, 67.1]``; without brackets if there are too few subjects for an interval.

    Intervals are cut at 0 and, for a share, at 1, because Student's interval may reach beyond; a signed metric has no
    such bounds.
    """
    factor, digits = (100 if percent else 1), digits if digits is not None else (1 if percent else 3)
    ends = (value.low, value.high) if signed else within(value, share)
    mean, low, high = (factor * x for x in (value.mean, *ends))
    if math.isnan(low):
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def within(value: Estimate, share: bool = True) -> tuple[float, float]:
    """Cut an interval at 0 and, for a share, at 1; NaN stays NaN."""
    if math.isnan(value.low):
        return math.nan, math.nan
    return max(value.low, 0.0), min(value.high, 1.0) if share else value.high


def shots_title(shots: int, unit: str) -> str:
    """Write a number of shots as the name of a column: "k = 10", or "2 subjects"."""
    if unit == "subjects" and shots:
        return "1 subject" if shots == 1 else f"{shots} subjects"
    return f"k = {shots}"


def headline_shots(shots: Sequence[int]) -> list[int]:
    """Choose the numbers of shots for a summary: the one nearest to 10, and the largest."""
    labelled = sorted(k for k in shots if k > 0)
    if not labelled:
        return []
    return sorted({min(labelled, key=lambda k: (round(abs(math.log(k / 10)), 9), k)), labelled[-1]})
