"""Examples of activities: labelled windows of the sources, called by the names that all data sets share.

Shape legend: N examples of all sources, P features of a window, C classes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from datamodules.labels.label_column import UNLABELLED, LabelColumn, distinct
from datamodules.labels.mapping import rename
from datamodules.labels.natural_order import natural_key
from datamodules.shards.concat import ConcatShards
from encoders.contract import ImuEncoder, ImuInput
from experiments.evaluation.features.feature_table import FeatureRows, Features
from experiments.evaluation.features.shared_fits import SharedFits
from experiments.evaluation.features.target_features import EncoderSpec, TargetFeatures
from experiments.evaluation.held_out_labels import UnlabelledShards
from experiments.evaluation.splits import generator

FEWEST = 8  # windows of an activity in all sources together; a rarer activity is not learnt from them
MOST = 200  # windows of an activity of one source; chosen on SisFall's young people
FITS = 24  # that are kept


class Examples:
    """Windows of the sources whose activity has a common name. Safe to use from several threads.

    Long recordings have thousands of windows of one activity. At most ``MOST`` windows of each activity of a source are
    taken, the same ones each time.

    Args:
        sets: windows of each source, with the labels that its publisher gave.
        encoder: gives the encoder that learnt from these labels; called when its features are first asked for.
        device: device that the encoder runs on.

    Attributes:
        activities: common names of at least ``FEWEST`` windows, in natural order.
        names: common name of each example, (N,).
        sets: number of each example's source, (N,).
        lines: what the labels of each source became, for readers.
        fits: fits on these examples that several cells share.
    """

    def __init__(self, sets: Sequence[ConcatShards], encoder: Callable[[], ImuEncoder], device: str = "cpu") -> None:
        renamed = [rename(shards.table["source"], shards.table["activity"]) for shards in sets]
        self.lines = [line for found in renamed for line in found.lines()]
        shown = [name for found in renamed for name in distinct(found.activities) if name != UNLABELLED]
        counts = {name: sum(int((found.activities == name).sum()) for found in renamed) for name in set(shown)}
        self.activities = sorted((name for name, count in counts.items() if count >= FEWEST), key=natural_key)
        windows = [self._drawn(number, found.activities) for number, found in enumerate(renamed)]
        self.names = np.array(
            [str(name) for found, own in zip(renamed, windows, strict=True) for name in found.activities[own]]
        )
        self.sets = np.repeat(np.arange(len(sets)), [len(own) for own in windows])
        self.fits = SharedFits(FITS)
        # No encoder with random weights is asked for, so that the settings of one are never used.
        spec = EncoderSpec("", {}, ImuInput(sets[0].settings.samples, sets[0].settings.imu_rate_hz), "physical")
        self._features = [
            TargetFeatures(UnlabelledShards(shards), own, spec, None, 0, device, encoder)
            for shards, own in zip(sets, windows, strict=True)
        ]
        self._lock = threading.Lock()
        self._rows: dict[str, Features] = {}

    def _drawn(self, number: int, names: LabelColumn) -> NDArray[np.int64]:
        drawn = [np.empty(0, np.int64)]
        for name in self.activities:
            own = np.flatnonzero(names == name)
            drawn.append(generator(["examples", number, name]).permutation(own)[:MOST])
        return np.sort(np.concatenate(drawn)).astype(np.int64)

    def rows(self, name: str, block: Callable[[TargetFeatures], FeatureRows]) -> Features:
        """Give one kind of features of all examples, (N, P), computed once.

        Args:
            name: name of the kind.
            block: finds the kind's table among the features of a data set.
        """
        with self._lock:
            if name not in self._rows:
                tables = [(block(features), features.windows) for features in self._features if len(features.windows)]
                self._rows[name] = np.concatenate([table[windows] for table, windows in tables])
            return self._rows[name]

    def of(self, classes: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Find the examples of these activities.

        Returns:
            Their positions among all examples, and their labels, positions in ``classes``.
        """
        place = {name: i for i, name in enumerate(classes)}
        labels = np.array([place.get(name, -1) for name in self.names.tolist()], np.int64)
        chosen = np.flatnonzero(labels >= 0)
        return chosen, labels[chosen]
