"""Seeds of a system together: the mean of the probabilities of its checkpoints, as one more system of the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from core.digest import digest_of
from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.methods import CellData, Method, Predict, Scores
from experiments.evaluation.methods.registry import Indices
from experiments.evaluation.targets import System


def ensembles_of(systems: Sequence[System]) -> list[System]:
    """Make a system ``NAME xN`` of each name that has N checkpoints, at least two."""
    found: dict[str, list[System]] = {}
    for system in systems:
        if system.model is not None:
            found.setdefault(system.name, []).append(system)
    return [
        replace(
            members[0],
            name=f"{name} x{len(members)}",
            checkpoint=digest_of([member.checkpoint for member in members])[:16],
            clips={},
            members=tuple(members),
        )
        for name, members in found.items()
        if len(members) > 1
    ]


def can_be_together(method: Method) -> bool:
    """Say if a method is evaluated with all seeds together.

    Methods that train an encoder for every cell would cost as much again. Prototypes of the target's videos belong to a
    fold, and are made for one checkpoint.
    """
    return method.checkpoint and not method.trained and method.prototypes != "target"


def together(method: Method, members: Mapping[str, TargetFeatures], systems: Sequence[System]) -> Method:
    """Make a method fit on each member's features, and predict the mean of their probabilities.

    Args:
        method: the method, for which :func:`can_be_together` holds.
        members: digest of a checkpoint -> features of the target by it.
        systems: the members.
    """

    def fit(data: CellData) -> Predict:
        features = [members[system.checkpoint] for system in systems]
        fitted = [
            method.fit(replace(data, features=own, prototypes=system.prototypes.get(method.prototypes)))
            for own, system in zip(features, systems, strict=True)
        ]

        def predict(tested: TargetFeatures, windows: Indices) -> Scores:
            change = tested.shards.change
            there = [own if change is None else own.under(change) for own in features]
            scores = [one(own, windows) for one, own in zip(fitted, there, strict=True)]
            return np.asarray(np.mean(scores, axis=0))

        return predict

    return replace(method, fit=fit)
