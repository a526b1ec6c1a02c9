"""Roles of methods in a report: which are pretrained, which are recommended, which are baselines or controls."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from experiments.evaluation.cells import CellResult
from experiments.reports.evaluation.titles import TITLES, in_order, parts_of

# Methods that use an encoder which learnt from other people, as they are and under adaptations.
PRETRAINED = (
    "linear_probe",
    "finetune",
    "hybrid_logistic",
    "hybrid_mean",
    "hybrid_hydra",
    "source_prototypes",
    "source_probe",
    "transfer_logistic",
    "transfer_mean",
    "transfer_hydra",
    "transfer_hybrid",
    "transfer_probe",
    "knn",
    "nearest_mean",
    "finetune_tuned",
    "finetune_safe",
    "finetune_mean",
    "finetune_paper",
    "zero_shot",
    "zero_shot_target",
    "zero_shot_text",
)
# Those of them that a reader is advised to use; the tables of pairs are about these.
RECOMMENDED = (
    "linear_probe",
    "finetune",
    "hybrid_logistic",
    "hybrid_mean",
    "hybrid_hydra",
    "source_prototypes",
    "source_probe",
    "transfer_logistic",
    "transfer_mean",
    "transfer_hydra",
)
# Adaptations that are controls, and not to be recommended.
CONTROLS = ("person_other", "neighbours_other", "balanced_other", "personal_none")
# What one would do without pretraining. The planned comparisons are with the best of these.
BASELINES = (
    "source_logistic",
    "source_trees",
    "source_mean",
    "handcrafted_rf",
    "handcrafted_trees",
    "handcrafted_logistic",
    "handcrafted_mean",
    "catch22",
    "minirocket",
    "minirocket_logistic",
    "hydra",
    "handcrafted_hydra",
    "external",
    "supervised",
)
# The same for methods without a label of the target.
BASELINES_WITHOUT_LABELS = ("majority", "source_logistic", "source_trees", "source_mean")
METRIC = "balanced_accuracy"
EVENT_METRIC = "auroc"  # of a target with a rare event


def pretrained(contenders: Mapping[str, Sequence[CellResult]] | Iterable[str]) -> list[str]:
    """Select the pretrained contenders, without controls, in the order of the tables.

    A method that is not part of the project counts if its cells name a checkpoint.
    """
    found = []
    for name in in_order([*contenders]):
        method, adaptations, _ = parts_of(name)
        cells = contenders[name] if isinstance(contenders, Mapping) else []
        own = is_foreign(method) and any(r.cell.checkpoint for r in cells)
        if (method in PRETRAINED or own) and not set(adaptations) & set(CONTROLS):
            found.append(name)
    return found


def is_foreign(method: str) -> bool:
    """Say if a method is not part of the project."""
    return method not in TITLES


def recommended(contenders: Iterable[str]) -> list[str]:
    """Select the recommended contenders, in the order of ``RECOMMENDED``, adapted ones last, systems together."""
    found = []
    for name in in_order([*contenders]):
        method, adaptations, _ = parts_of(name)
        if method in RECOMMENDED and not set(adaptations) & set(CONTROLS):
            found.append(name)
    return sorted(found, key=lambda name: (parts_of(name)[2], "+" in name, RECOMMENDED.index(parts_of(name)[0])))


def plays(contender: str, methods: Collection[str]) -> bool:
    """Say if a contender is one of these methods, adapted or not, and no control."""
    method, adaptations, _ = parts_of(contender)
    return method in methods and not set(adaptations) & set(CONTROLS)
