"""Labelled windows of several data sets, mixed in each batch.

Shape legend: B windows of a batch, N labelled windows of a data set, T samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.augment import ImuAugmentation
from datamodules.augment.draws import window_keys
from datamodules.labelled import ImuWindows, augmented, read_imu
from datamodules.sampling.loader import Batch


@dataclass(frozen=True)
class LabelledSet:
    """Labelled windows of a data set.

    Attributes:
        shards: source of the windows.
        windows: labelled windows, (N,).
        labels: their labels, (N,) int64 in [0, C), each at least once.
    """

    shards: ImuWindows
    windows: NDArray[np.int64]
    labels: NDArray[np.int64]

    @property
    def n_classes(self) -> int:
        """C."""
        return int(self.labels.max()) + 1

    @property
    def weight(self) -> float:
        """Share of a batch, up to a factor: a large set counts more, but less than its size, as does a rich one."""
        return math.sqrt(len(self.windows)) * math.log(max(self.n_classes, 2))


class LabelledSetsDataModule(L.LightningDataModule):
    """Batches of labelled windows from several data sets, for a number of steps.

    In each step, every window's data set is drawn by the sets' weights, then one of its activities, each as likely,
    then one of that activity's windows. A batch is a pure function of seed and step. It is a dict of tensors: ``imu``
    (B, T, 6) float32, normalised and augmented, ``sample_mask`` (B, T), ``channel_mask`` (B, 6), ``label`` (B,) and
    ``set`` (B,), the number of the data set.

    Args:
        sets: the data sets; their windows have one length and rate.
        steps: batches.
        batch_size: B.
        augmentation: augmentation of the windows.
        seed: seed of draws and augmentations.
    """

    def __init__(
        self, sets: Sequence[LabelledSet], steps: int, batch_size: int, augmentation: ImuAugmentation, seed: int = 0
    ) -> None:
        super().__init__()
        self.sets = tuple(sets)
        self.steps = steps
        self.batch_size = batch_size
        self.augmentation = augmentation
        self.seed = seed
        weights = np.array([part.weight for part in self.sets])
        self._share = weights / weights.sum()
        self._by_class = [
            [np.flatnonzero(part.labels == label) for label in range(part.n_classes)] for part in self.sets
        ]

    def train_dataloader(self) -> Iterator[Batch]:
        """Yield one batch a step."""
        return (self.batch(step) for step in range(self.steps))

    def batch(self, step: int) -> Batch:
        """Draw, read and augment the batch of a step."""
        rng = np.random.default_rng([self.seed, step])
        counts = rng.multinomial(self.batch_size, self._share)
        parts = []
        for number, (part, count) in enumerate(zip(self.sets, counts, strict=True)):
            if not count:
                continue
            classes = rng.integers(part.n_classes, size=count)
            chosen = np.array([rng.choice(self._by_class[number][label]) for label in classes])
            batch = read_imu(part.shards, part.windows[chosen], self.augmentation.normalisation)
            label = torch.from_numpy(part.labels[chosen])
            keys = window_keys(self.seed + number, step, np.arange(count, dtype=np.int64))
            parts.append({**batch, "label": label, "set": torch.full((count,), number), "draws": keys})
        joined = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        return augmented(joined, self.augmentation, self.sets[0].shards.settings.imu_rate_hz)
