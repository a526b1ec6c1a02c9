"""Checks of an evaluation before anything is computed, and its perturbations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from encoders.contract import ImuInput
from experiments.evaluation.errors import EvaluationError
from experiments.evaluation.features.external import open_external, weights_digest
from experiments.evaluation.methods import Method
from experiments.evaluation.perturbations import (
    KINDS,
    LABEL_NOISE,
    PLACEMENT,
    Perturbation,
    PerturbationError,
    parse_perturbation,
)
from experiments.evaluation.splits import Fold
from experiments.evaluation.targets import System, Target
from experiments.settings.evaluation import EvaluationConfig
from experiments.settings.schema import Config


def refuse_settings(e: EvaluationConfig) -> None:
    """Refuse settings that contradict each other, or shares that are none.

    Raises:
        EvaluationError: there are such settings.
    """
    if e.perturbations and e.perturbations_shots and e.perturbations_shots not in e.shots:
        raise EvaluationError(
            f"evaluation.perturbations_shots is {e.perturbations_shots}; expected one of evaluation.shots:"
            f" {', '.join(map(str, e.shots)) or 'none'}"
        )
    for share in e.label_noise:
        if not 0 < share < 1:
            raise EvaluationError(f"evaluation.label_noise has {share:g}; expected shares above 0 and below 1")


def expand_perturbations(texts: Sequence[str]) -> list[Perturbation]:
    """Parse perturbations as the settings name them: "noise=1", or "noise" for all of its levels.

    Raises:
        PerturbationError: a perturbation can't be understood.
    """
    asked: list[Perturbation] = []
    for text in texts:
        if text.partition("=")[0] == PLACEMENT:
            raise PerturbationError(
                f"perturbation '{text}': windows of another placement are read, not made; name the data sets of the"
                " other sensors in a target's 'placements'"
            )
        if text.partition("=")[0] == LABEL_NOISE:
            raise PerturbationError(
                f"perturbation '{text}': labels are flipped before a method is fitted; set evaluation.label_noise"
            )
        named = text in KINDS
        asked += [Perturbation(text, level) for level in KINDS[text].levels] if named else [parse_perturbation(text)]
    return list(dict.fromkeys(asked))


def changes(perturbation: Perturbation, target: Target, tested: NDArray[np.int64]) -> bool:
    """Decide if the perturbation changes the target: there is a gyroscope to lose, or a rate to lower."""
    if perturbation.kind == "gyroscope":
        # A sample over all tested windows, because sensors may differ between subjects.
        some = tested[:: -(-len(tested) // 256)]
        if not target.shards.imu(some)[2][:, 3:].any():
            return False
    return perturbation.changes(target.shards.settings.imu_rate_hz)


def refuse_too_few_subjects(config: Config, target: Target, folds: Sequence[Fold]) -> None:
    """Refuse, before anything is computed, to take labels of more subjects than there are."""
    e = config.evaluation
    fewest = min(folds, key=lambda fold: len(fold.support_subjects))
    there = len(fewest.support_subjects)
    for key, asked in (
        ("subject_shots", max(e.subject_shots, default=0)),
        ("support_subjects", e.support_subjects),
    ):
        if asked > there:
            raise EvaluationError(
                f"evaluation.{key} asks for labels of {asked} subjects, but fold {fewest.number} of target"
                f" '{target.name}' has {there} that are not tested: {', '.join(fewest.support_subjects)}"
            )
    for key, shots in (("shots", e.shots), ("shots_trained", e.shots_trained), ("subject_shots", e.subject_shots)):
        if min(shots, default=1) < 1:
            raise EvaluationError(f"evaluation.{key} has {min(shots)}; expected at least 1")


def refuse_methods_without_checkpoint(chosen: Sequence[Method], systems: Sequence[System]) -> None:
    """Refuse an evaluation without systems, and methods that lack their checkpoint."""
    if not systems:
        raise EvaluationError("there is no system to evaluate")
    for method in chosen:
        for system in systems:
            if method.checkpoint and system.model is None:
                raise EvaluationError(f"evaluation.methods: {method.name} needs a checkpoint")


def externals(config: Config, chosen: Sequence[Method], targets: Sequence[Target]) -> dict[str, str]:
    """Digest the weights of each external encoder; each is built once, so that an error comes first."""
    if not any(method.external for method in chosen):
        return {}
    named = config.evaluation.external
    if not named:
        raise EvaluationError(
            "evaluation.methods: external compares encoders of others, but evaluation.external names none; expected"
            " NAME: {encoder: ..., weights: FILE.safetensors}"
        )
    for name, settings in named.items():
        for target in targets:
            windows = target.shards.settings
            open_external(name, settings, ImuInput(windows.samples, windows.imu_rate_hz))
    return {name: weights_digest(settings) for name, settings in named.items()}
