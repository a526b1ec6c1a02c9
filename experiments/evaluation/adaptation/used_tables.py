"""Tables of features that a method uses, found by watching it fit."""

from __future__ import annotations

from dataclasses import replace

from experiments.evaluation.features.feature_table import FeatureRows
from experiments.evaluation.features.target_features import Read, TargetFeatures
from experiments.evaluation.methods import CellData


class UsedTables:
    """Which tables of features a method asks for while it fits; the method gets them as they are."""

    def __init__(self) -> None:
        self._reads: dict[str, Read] = {}

    def watching(self, data: CellData) -> CellData:
        """Give the same data to be fitted on."""
        return replace(data, features=data.features.through("", self._watch))

    def of(self, features: TargetFeatures) -> list[FeatureRows]:
        """Give the tables that were asked for, of these features; handcrafted ones if there was none."""
        if not self._reads:
            return [features.handcrafted]
        return [self._reads[name](features) for name in sorted(self._reads)]

    @property
    def names(self) -> str:
        """Names of the tables."""
        return ", ".join(sorted(self._reads)) or "handcrafted"

    def _watch(self, name: str, features: TargetFeatures, read: Read) -> FeatureRows:
        self._reads[name] = read
        return read(features)
