"""The encoder as a transformer of scikit-learn: recordings in, one row of features each.

Shape legend: R recordings, P features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from experiments.inference.encoder import PretrainedImuEncoder, load_imu_encoder
from experiments.inference.errors import InferenceError


class ImuFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Mean features of recordings, for pipelines and ``cross_val_score``.

    Nothing is learnt from the data: ``fit`` loads the encoder. ``check_estimator`` does not apply, because X is a list
    of recordings of any length, not a table.

    Args:
        encoder: path for :func:`experiments.inference.encoder.load_imu_encoder`.
        rate_hz: samples a second.
        acceleration_unit: ``m/s^2``, ``g`` or ``mg``.
        gyroscope_unit: ``rad/s`` or ``deg/s``.
    """

    def __init__(
        self,
        encoder: str = "",
        *,
        rate_hz: float = 50.0,
        acceleration_unit: str = "m/s^2",
        gyroscope_unit: str = "rad/s",
    ) -> None:
        self.encoder = encoder
        self.rate_hz = rate_hz
        self.acceleration_unit = acceleration_unit
        self.gyroscope_unit = gyroscope_unit

    def fit(self, X: Sequence[Any], y: Any = None) -> ImuFeatures:
        """Load the encoder; ``X`` and ``y`` are not looked at."""
        self.encoder_: PretrainedImuEncoder = load_imu_encoder(self.encoder)
        self.n_features_out_ = self.encoder_.pooled_width
        return self

    def transform(self, X: Sequence[Any]) -> NDArray[np.float32]:
        """Encode recordings, each (N, 3) or (N, 6), and average over the windows of each: (R, P).

        Raises:
            InferenceError: a recording can't be right, or has no window without faults.
        """
        check_is_fitted(self)
        found = self.encoder_.embed(
            list(X),
            rate_hz=self.rate_hz,
            acceleration_unit=self.acceleration_unit,
            gyroscope_unit=self.gyroscope_unit,
        )
        counts = np.bincount(found.recording, minlength=len(X))
        if not counts.all():
            number = int(np.argmin(counts))
            why = next((e.detail for e in found.left_out if e.recording == str(number)), "it has no samples")
            raise InferenceError(f"recording {number}: no window of it can be used: {why}; leave it out")
        sums = np.zeros((len(X), self.encoder_.pooled_width))
        np.add.at(sums, found.recording, found.pooled)
        return (sums / counts[:, None]).astype(np.float32)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Name the features ``imu0``, ``imu1``, ..."""
        check_is_fitted(self)
        return np.array([f"imu{i}" for i in range(self.n_features_out_)], dtype=object)
