"""Labelled data sets of other laboratories, whose subjects are never tested."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.digest import digest_of
from datamodules.handcrafted import handcrafted_features
from datamodules.labels.label_column import UNLABELLED, distinct, numbered
from datamodules.shards.concat import ConcatShards
from encoders.contract import ImuEncoder
from experiments.evaluation.errors import EvaluationError
from experiments.evaluation.features.feature_table import in_blocks
from experiments.evaluation.transfer.examples import Examples
from experiments.evaluation.transfer.whitening import Whitening, within_covariance
from lightning_modules.probe import Standardisation

CLIP = 6.0  # standard deviations, as for the features of a target


@dataclass(frozen=True)
class SourceSet:
    """A data set of another laboratory.

    Attributes:
        name: key among ``datasets``.
        shards: its windows, with their labels.
    """

    name: str
    shards: ConcatShards


class Sources:
    """All data sets that a target may learn from, besides its own labels. Safe to use from several threads.

    Args:
        sets: the data sets, at least one.
        make_encoder: trains an encoder on these sets, or loads it; called when the encoder is first asked for.
        device: device that the encoder runs on.
    """

    def __init__(
        self,
        sets: Sequence[SourceSet],
        make_encoder: Callable[[Sources], ImuEncoder] | None = None,
        device: str = "cpu",
    ) -> None:
        self.sets = tuple(sets)
        self._make_encoder = make_encoder
        self._device = device
        self._encoder: ImuEncoder | None = None
        self._lock = threading.Lock()
        self._whitening: Whitening | None = None
        self._examples: Examples | None = None

    @property
    def fingerprint(self) -> str:
        """Digest of all windows and labels."""
        return digest_of([part.shards.fingerprint for part in self.sets])

    @property
    def qualified_subjects(self) -> list[str]:
        """The subjects, as "source/subject", sorted."""
        return sorted({name for part in self.sets for name in distinct(part.shards.table["person"])})

    @property
    def encoder(self) -> ImuEncoder:
        """Encoder trained on the labels of the sets."""
        with self._lock:
            if self._encoder is None:
                if self._make_encoder is None:
                    raise EvaluationError("an encoder of other laboratories was asked for, but there is none")
                self._encoder = self._make_encoder(self)
            return self._encoder

    @property
    def examples(self) -> Examples:
        """Windows of the sets whose activity has a common name, found once.

        Raises:
            CommonActivitiesError: the activities of a set have no common names.
        """
        with self._lock:
            if self._examples is None:
                shards = [part.shards for part in self.sets]
                self._examples = Examples(shards, lambda: self.encoder, self._device)
            return self._examples

    @property
    def whitening(self) -> Whitening:
        """Whitening by the spread of handcrafted features within activities, computed once.

        Each set is standardised by its own mean and deviation: sensors, places and units of effort differ between
        laboratories, and only the directions in which an activity varies are to be learnt.
        """
        with self._lock:
            if self._whitening is None:
                parts = [self._standardised(part) for part in self.sets]
                self._whitening = Whitening.of(within_covariance(parts))
            return self._whitening

    @staticmethod
    def _standardised(part: SourceSet) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Compute a set's standardised handcrafted features (N, K), and labels (N,)."""
        labels = part.shards.table["activity"]
        windows = np.flatnonzero(labels != UNLABELLED).astype(np.int64)
        rate_hz = part.shards.settings.imu_rate_hz
        blocks = [handcrafted_features(*part.shards.imu(block), rate_hz) for block in in_blocks(windows)]
        features = np.concatenate(blocks)
        standardisation = replace(Standardisation.of(features), clip=CLIP)
        return standardisation(features), numbered(labels[windows])[1]
