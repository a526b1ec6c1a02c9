"""A logistic regression on the features of an encoder that others trained, as a baseline."""

from __future__ import annotations

from dataclasses import replace

from experiments.evaluation.features.external import external_table
from experiments.evaluation.features.feature_table import FeatureRows, Features
from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.methods.handcrafted import CLIP
from experiments.evaluation.methods.registry import CellData, Indices, Predict, method
from experiments.evaluation.methods.sharing import fit_once, predict_once
from experiments.evaluation.worker_pool import run_in_pool
from lightning_modules.probe import LinearProbe, fit_probe


@method("external", needs_labels=True, external=True, settings=("evaluation.logistic_c",))
def external(data: CellData) -> Predict:
    """Fit a logistic regression on mean, maximum and deviation of the encoder's tokens, as on handcrafted features."""
    settings, c = data.config.evaluation.external[data.external], data.config.evaluation.logistic_c
    name = f"external {data.external}"

    def table(features: TargetFeatures) -> FeatureRows:
        return features.table(name, lambda there: external_table(there, data.external, settings))

    def rows(features: TargetFeatures, windows: Indices) -> Features:
        return table(features)[windows]

    def fit() -> LinearProbe:
        standardisation = replace(table(data.features).standardisation(data.pool), clip=CLIP)
        known = rows(data.features, data.support)
        return run_in_pool(fit_probe, known, data.support_labels, len(data.classes), standardisation, c)

    table(data.features)  # read outside of what is shared, see fit_once
    return predict_once(data, name, fit_once(data, f"{name} {c}", fit), rows)
