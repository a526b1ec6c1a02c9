"""The transformer in pipelines of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
from sklearn.pipeline import make_pipeline

from datamodules.recording import ImuStream
from encoders import load_imu_encoder
from experiments.inference import ImuFeatures, InferenceError
from experiments.runtime.run_folder import run_folder


@pytest.fixture
def features(adapted: Any) -> ImuFeatures:
    return ImuFeatures(str(run_folder(adapted.config)), rate_hz=100)


def test_a_row_is_the_mean_over_a_recordings_windows(features: ImuFeatures, stream: ImuStream) -> None:
    recordings = [stream.values[:1300], stream.values[1300:1500], stream.values[1500:]]
    rows = features.fit(recordings).transform(recordings)
    found = load_imu_encoder(features.encoder).embed(recordings[0], rate_hz=100, acceleration_unit="m/s^2")
    assert len(found) == 3
    np.testing.assert_allclose(rows[0], found.pooled.mean(axis=0), atol=1e-5)  # other batches
    assert rows.shape == (3, len(features.get_feature_names_out()))


def test_it_works_in_pipelines_with_groups(features: ImuFeatures, stream: ImuStream) -> None:
    rng = np.random.default_rng(0)
    recordings, labels, people = [], [], []
    for person in range(3):
        for shake in (0.0, 8.0) * 2:
            noise = shake * np.sin(np.arange(500) / 3)[:, None] * np.ones(6)
            recordings.append(rng.normal(0, 0.05, (500, 6)) + np.array([0, 0, 9.8, 0, 0, 0]) + noise)
            labels.append(int(shake > 0))
            people.append(person)
    model = make_pipeline(clone(features), LogisticRegression())
    assert cross_val_score(model, recordings, labels, groups=people, cv=LeaveOneGroupOut()).tolist() == [1, 1, 1]


def test_errors_are_those_of_the_encoder(features: ImuFeatures, stream: ImuStream) -> None:
    with pytest.raises(NotFittedError):
        features.transform([stream.values])
    lost = stream.values[:450].copy()
    lost[100:200] = np.nan
    with pytest.raises(InferenceError, match="recording 1: no window of it can be used"):
        features.fit([]).transform([stream.values, lost])
