"""Results of evaluations that never happened, for tests of what people read and look at."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from experiments.evaluation.cells import Cell, CellResult
from experiments.evaluation.metrics import balanced_accuracy, macro_f1

METHODS = (
    "majority",
    "zero_shot",
    "handcrafted_rf",
    "random_frozen",
    "supervised",
    "knn",
    "linear_probe",
    "finetune",
)
_SKILL = {
    "majority": 0.0,
    "zero_shot": 0.2,
    "handcrafted_rf": 0.45,
    "random_frozen": 0.3,
    "supervised": 0.35,
    "knn": 0.5,
    "linear_probe": 0.6,
    "finetune": 0.65,
}
_WITHOUT_LABELS = ("majority", "zero_shot", "zero_shot_target", "zero_shot_text", "source_mean", "source_prototypes")


def make_results(
    dataset: str,
    people: int,
    classes: Sequence[str],
    shots: Sequence[int] = (1, 5, 10, 20, 50, 100),
    draws: int = 10,
    methods: Sequence[str] = METHODS,
    event: str = "",
    perturbations: Sequence[str] = (),
    subject_shots: Sequence[int] = (),
    simulated: bool = False,
    windows: int = 6,
) -> list[CellResult]:
    """One fold a person, named p1, p2, ...; the first person lacks the first activity.

    Skill grows with shots, differs from person to person, and falls by half under a perturbation. Methods may be
    written "linear_probe@imu_only", or "linear_probe+person", which knows unlabelled windows.
    """
    found = []
    for contender in methods:
        method = contender.partition("@")[0]
        sizes = [("windows", k) for k in shots] + [("subjects", k) for k in subject_shots]
        if method in _WITHOUT_LABELS:
            sizes = [("windows", 0)]
        for fold in range(people):
            for unit, k in sizes:
                for draw in range(draws if k else 1):
                    asked = ["", *(perturbations if k in (0, max(shots)) and unit == "windows" and draw < 2 else ())]
                    found += [
                        _cell(dataset, contender, unit, k, fold, draw, c, classes, event, simulated, windows)
                        for c in asked
                    ]
    return found


def _cell(
    dataset: str,
    contender: str,
    unit: str,
    shots: int,
    fold: int,
    draw: int,
    perturbation: str,
    classes: Sequence[str],
    event: str,
    simulated: bool,
    windows: int,
) -> CellResult:
    method, _, system = contender.partition("@")
    rng = np.random.default_rng(
        zlib.crc32(f"{dataset}/{contender}/{unit}/{shots}/{fold}/{draw}/{perturbation}".encode())
    )
    person = np.random.default_rng((fold, len(dataset))).normal(0, 0.08)
    n = len(classes)
    labels = shots * (30 if unit == "subjects" else 1)
    skill = _SKILL.get(method, 0.4) - 0.15 * bool(system) + 0.06 * np.log1p(labels) + person + rng.normal(0, 0.03)
    skill = float(np.clip(skill * (0.5 if perturbation else 1), 0, 0.98)) if method != "majority" else 0.0
    first = 1 if fold == 0 and n > 2 else 0
    truth = np.repeat(np.arange(first, n), windows)
    guess = np.full(len(truth), n - 1) if method == "majority" else (truth + rng.integers(1, 3, len(truth))) % n
    predicted = np.where(rng.random(len(truth)) < skill, truth, guess)
    confusion = np.zeros((n, n), np.int64)
    np.add.at(confusion, (truth, predicted), 1)
    metrics = {
        "accuracy": float((truth == predicted).mean()),
        "balanced_accuracy": balanced_accuracy(confusion),
        "macro_f1": macro_f1(confusion),
        "calibration_error": float(abs(rng.normal(0.1, 0.03))),
    }
    if method.startswith("zero_shot"):
        for k in (1, 3, 5):
            metrics[f"recall@{k}"] = min(1.0, metrics["accuracy"] * (1 + k / 5))
            metrics[f"chance_recall@{k}"] = min(k, n) / n
        metrics |= {"mrr": min(1.0, metrics["accuracy"] + 0.1), "chance_mrr": 0.2, "pool_size": float(n)}
    hours = len(truth) * 4 / 3600
    if event:
        at = list(classes).index(event)
        if (truth == at).any():
            metrics |= {
                "auroc": 0.5 + skill / 2,
                "auprc": 0.1 + 0.8 * skill,
                "chance_auprc": float((truth == at).mean()),
            }
            metrics["event_sensitivity"] = float(confusion[at, at] / confusion[at].sum())
        metrics["detections_per_hour"] = float(confusion[:, at].sum() / hours)
        metrics["false_alarms_per_hour"] = float((confusion[:, at].sum() - confusion[at, at]) / hours)
    trained = method in ("supervised", "finetune", "linear_probe", "knn") or method.startswith("zero_shot")
    subject = f"p{fold + 1}"
    return CellResult(
        cell=Cell(
            dataset=dataset,
            population="healthy",
            method=method,
            system=system,
            encoder="patchtst" if trained else "",
            checkpoint="0123456789abcdef" if trained else "",
            shots=shots,
            shots_unit=unit,
            fold=fold,
            draw=draw,
            seed=0,
            perturbation=perturbation,
            input_digest="x",
            knowledge="unlabelled" if "+" in contender else "none",
        ),
        classes=list(classes),
        event=event,
        metrics=metrics,
        by_subject={subject: metrics},
        windows_by_subject={subject: len(truth)},
        hours_by_subject={subject: hours},
        confusion_by_subject={subject: confusion.tolist()},
        support_windows=labels * n,
        support_subjects=shots if unit == "subjects" else min(shots, people_of(dataset)),
        seconds=0.01 * (1 + labels / 10) * (40 if method in ("supervised", "finetune") else 1),
        simulated=simulated,
        notes=[f"class {classes[0]} has 3 windows, fewer than the {shots} shots"] if shots > 40 else [],
    )


def people_of(dataset: str) -> int:
    """How many people the labels of a made data set come from."""
    return 21 if len(dataset) < 20 else 3
