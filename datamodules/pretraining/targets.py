"""Targets of objectives without video: the handcrafted features of a window, or the label of its activity.

Each kind is a part of a batch, made only where an objective asks for it.

Shape legend: N windows, B windows of a batch, K features, C classes of all sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.handcrafted import FEATURE_NAMES, handcrafted_features, known_features
from datamodules.shards.mixed import MixedShards
from datamodules.shards.reader import ShardSet

STATISTICS_WINDOWS = 2048  # windows of which mean and deviation of the features are taken
CLIP = 6.0  # deviations; a bump of the sensor must not be all that is learnt


class Targets(Protocol):
    """A part of a batch."""

    def of(
        self,
        windows: NDArray[np.int64],
        imu: NDArray[np.float32],
        sample_mask: NDArray[np.bool_],
        channel_mask: NDArray[np.bool_],
    ) -> dict[str, Tensor]:
        """Return named rows of these windows, (B, ...), from their motion in m/s^2 and rad/s."""


class ExpertTargets:
    """``expert`` (B, K) float32: standardised handcrafted features, NaN for what the device can't measure.

    A window's features are computed when it is first read, and kept: 1.1 kB a window. Their mean and deviation are
    those of :data:`STATISTICS_WINDOWS` training windows, evenly chosen; so they are the same on any number of
    processes, and in a resumed run.

    Args:
        shards: of the windows.
        training: training windows.
    """

    def __init__(self, shards: ShardSet | MixedShards, training: NDArray[np.int64]) -> None:
        self._rate_hz = shards.settings.imu_rate_hz
        chosen = training[:: max(1, -(-len(training) // STATISTICS_WINDOWS))]
        imu, sample_mask, channel_mask = shards.imu(chosen)
        features = self._features(imu, sample_mask, channel_mask).astype(np.float64)
        known = ~np.isnan(features)
        count = np.maximum(known.sum(axis=0), 1)
        self._mean = np.where(known, features, 0).sum(axis=0) / count
        deviation = np.sqrt((np.where(known, features - self._mean, 0) ** 2).sum(axis=0) / count)
        # What never changes is 0 by definition; what changes by its rounding alone is no feature either.
        steady = deviation <= 1e-6 * np.maximum(np.abs(self._mean), 1)
        self._scale = np.where(steady, np.inf, deviation)
        self._kept = np.empty((shards.n_windows, len(FEATURE_NAMES)), np.float32)
        self._is_kept = np.zeros(shards.n_windows, bool)

    @property
    def width(self) -> int:
        """Number of features, K."""
        return len(FEATURE_NAMES)

    def of(
        self,
        windows: NDArray[np.int64],
        imu: NDArray[np.float32],
        sample_mask: NDArray[np.bool_],
        channel_mask: NDArray[np.bool_],
    ) -> dict[str, Tensor]:
        """Return ``expert``; see :meth:`Targets.of`."""
        new = np.flatnonzero(~self._is_kept[windows])
        if new.size:  # two threads may compute the same: the result is the same too
            raw = self._features(imu[new], sample_mask[new], channel_mask[new])
            self._kept[windows[new]] = ((raw - self._mean) / self._scale).clip(-CLIP, CLIP)
            self._is_kept[windows[new]] = True
        return {"expert": torch.from_numpy(self._kept[windows])}

    def _features(
        self, imu: NDArray[np.float32], sample_mask: NDArray[np.bool_], channel_mask: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        features = handcrafted_features(imu, sample_mask, channel_mask, self._rate_hz)
        features[~known_features(channel_mask)] = np.nan
        return features


class LabelTargets:
    """``activity`` (B,) int64, numbered over the classes of all sets, -1 without a label; ``person`` (B,) int64.

    Classes of two sets are different ones, whatever they are called: each set has a head of its own.

    Args:
        shards: of the windows.
        training: training windows; only their labels are looked at.

    Attributes:
        classes: activities of each set that occur in training, sorted.

    Raises:
        ValueError: no training window has a label.
    """

    def __init__(self, shards: ShardSet | MixedShards, training: NDArray[np.int64]) -> None:
        parts = [part for _, part in shards.parts] if isinstance(shards, MixedShards) else [shards]
        self._activity = np.full(shards.n_windows, -1)
        self._person = shards.codes("person" if isinstance(shards, MixedShards) else "subject").astype(np.int64)
        self.classes: list[list[str]] = []
        first, number = 0, 0
        for part in parts:
            mine = training[(training >= first) & (training < first + part.n_windows)]
            codes = part.codes("activity")[mine - first]
            there = np.unique(codes[codes >= 0])
            self.classes.append([part.label_tables["activity"][code] for code in there])
            self._activity[mine] = np.where(codes >= 0, number + np.searchsorted(there, codes), -1)
            first, number = first + part.n_windows, number + len(there)
        if not number:
            raise ValueError("loss.labels.weight: no training window of any data set has a label; expected 0")

    def of(
        self,
        windows: NDArray[np.int64],
        imu: NDArray[np.float32],
        sample_mask: NDArray[np.bool_],
        channel_mask: NDArray[np.bool_],
    ) -> dict[str, Tensor]:
        """Return ``activity`` and ``person``; see :meth:`Targets.of`."""
        return {
            "activity": torch.from_numpy(self._activity[windows]),
            "person": torch.from_numpy(self._person[windows]),
        }


def make_targets(
    names: Sequence[str], shards: ShardSet | MixedShards, training: NDArray[np.int64]
) -> dict[str, ExpertTargets | LabelTargets]:
    """Make the targets with these names, "expert" or "labels".

    Raises:
        ValueError: there are no such targets, or no labels.
    """
    kinds: dict[str, type[ExpertTargets] | type[LabelTargets]] = {"expert": ExpertTargets, "labels": LabelTargets}
    for name in names:
        if name not in kinds:
            raise ValueError(f"unknown targets '{name}'; expected some of {', '.join(kinds)}")
    return {name: kinds[name](shards, training) for name in names}
