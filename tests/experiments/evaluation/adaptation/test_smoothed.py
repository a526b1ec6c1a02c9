"""Smoothing over time: closed forms, series of a sensor, and windows that are not there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.fake_shards import ACTIVITIES, FakeShards
from helpers.made_cells import make_cell, make_config
from helpers.made_protocol import run

from experiments.evaluation.adaptation import find_contender
from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.methods import CellData, Predict, Scores
from experiments.evaluation.methods.registry import Indices


def recorded(every_s: float = 2.0) -> FakeShards:
    """One recording a person, windows of 2 s one after the other."""
    shards = FakeShards()
    owners = shards.table["subject"]
    shards.table["recording"] = np.array([f"r{owner}" for owner in owners])
    for owner in set(owners.tolist()):
        own = owners == owner
        shards.table["start_s"][own] = every_s * np.arange(own.sum())
    return shards


def cell(shards: FakeShards) -> tuple[CellData, np.ndarray]:
    data, test, _ = make_cell(shards)
    return replace(data, unlabelled=np.union1d(data.pool, test)), test


def numbered(data: CellData, test: np.ndarray, windows: np.ndarray | None = None) -> np.ndarray:
    """Give window w the score w, for each class, and smooth."""

    def fit(_: CellData) -> Predict:
        def predict(features: TargetFeatures, asked: Indices) -> Scores:
            return np.repeat(asked[:, None].astype(float), len(ACTIVITIES), axis=1)

        return predict

    adapt = find_contender("handcrafted_logistic+smoothed").fit.func  # type: ignore[attr-defined]
    return np.asarray(adapt(fit, data)(data.features, test if windows is None else windows))[:, 0]


def test_a_window_counts_half_and_its_neighbours_a_quarter() -> None:
    data, test = cell(recorded())
    found = numbered(data, test)
    person = data.features.shards.table["subject"][test]
    first = np.flatnonzero(np.r_[True, person[1:] != person[:-1]])
    last = np.r_[first[1:], len(test)] - 1
    inner = np.setdiff1d(np.arange(len(test)), np.union1d(first, last))
    assert found[inner] == pytest.approx(test[inner])  # (w - 1) / 4 + w / 2 + (w + 1) / 4
    assert found[first] == pytest.approx(test[first] + 1 / 3)  # (w / 2 + (w + 1) / 4) / (3 / 4)
    assert found[last] == pytest.approx(test[last] - 1 / 3)


def test_windows_far_apart_and_of_other_recordings_are_left_alone() -> None:
    for shards in (FakeShards(), recorded(every_s=5.0)):
        data, test = cell(shards)
        assert (numbered(data, test) == test).all()


def test_the_persons_other_windows_count_where_few_are_asked_for() -> None:
    data, test = cell(recorded())
    assert numbered(data, test, test[5:6]) == pytest.approx(numbered(data, test)[5:6])
    assert numbered(replace(data, unlabelled=data.pool), test, test[5:6]) == test[5]


def test_two_sensors_in_one_recording_are_two_series() -> None:
    shards = recorded()
    shards.table["placement"] = np.where(np.arange(shards.n_windows) % 2, "left", "right")
    data, test = cell(shards)
    # The windows of one sensor are 4 s apart: nothing is next to anything.
    assert (numbered(data, test) == test).all()


def test_the_protocol_says_that_unlabelled_windows_are_known() -> None:
    names = ["zero_shot+smoothed", "handcrafted_logistic+person+smoothed"]
    assert {find_contender(name).knowledge for name in names} == {"unlabelled"}
    results = run(make_config(methods=names[1:], shots=[2], draws=1), recorded())
    assert {r.cell.knowledge for r in results} == {"unlabelled"}
