"""The handcrafted baseline on real people, against what a plain random forest reached elsewhere.

These figures are for all labels and one sensor's windows as our configurations cut them; the published or trial ones
are in each test. A baseline that fell behind them would make everything else look good.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.real_data import real_data
from sklearn.metrics import roc_auc_score

from datamodules.build.run import build
from datamodules.handcrafted import handcrafted_features
from datamodules.shards.concat import ConcatShards
from datamodules.shards.reader import ShardSet
from datamodules.windows.cut import WindowSettings
from experiments.evaluation.cells import CellResult
from experiments.evaluation.features.forests import fit_forest
from experiments.evaluation.protocol import run_protocol
from experiments.evaluation.targets import System, Target
from experiments.settings.evaluation import TargetConfig
from experiments.settings.load import load

pytestmark = pytest.mark.slow
Open = Callable[..., ShardSet]


@pytest.fixture
def open_set(tmp_path: Path) -> Open:
    def make(source: str, folder: str, window: WindowSettings, placement: str = "any", **params: Any) -> ShardSet:
        directory = tmp_path / f"{source}-{placement}"
        build(source, {"root": str(real_data(folder)), **params}, directory, window, placement, None, workers=1)
        return ShardSet.open(directory)

    return make


def forest(shards: ShardSet, **target: Any) -> list[CellResult]:
    """The protocol with all labels."""
    config = load("sisfall", [])
    e = config.evaluation
    e.methods, e.shots, e.draws, e.forest_trees = ["handcrafted_rf"], [10_000], 1, 300
    made = Target(TargetConfig("real", "real", **target), ConcatShards([("real", shards)]))
    return run_protocol(config, [made], [System()], lambda _: None, lambda _: None, lambda *_: None)


def test_utd_mhad_odd_to_even(open_set: Open) -> None:
    """A trial reached an accuracy of 0.851 with a random forest on IMU features, 27 actions."""
    window = load("utd_mhad", []).window
    window = WindowSettings(**{**vars(window), "frames": 0})
    shards = open_set("utd_mhad", "utd-mhad", window)
    odd, even = ({"subject": [str(s) for s in range(first, 9, 2)]} for first in (1, 2))
    (result,) = forest(shards, support_where=odd, test_where=even)
    assert sum(result.windows_by_subject.values()) == 430
    # 0.849 to 0.856 over three seeds; 0.03 is two standard errors of 430 windows.
    assert result.metrics["accuracy"] == pytest.approx(0.851, abs=0.03)


def test_sisfall_young_to_older(open_set: Open) -> None:
    shards = open_set("sisfall", "sisfall", load("sisfall", []).window)
    sides = {"support_where": {"population": ["young"]}, "test_where": {"population": ["older"]}}
    (result,) = forest(shards, event="fall", **sides)
    assert set(result.by_subject) == {f"SE{i:02}" for i in range(1, 11)}
    assert result.metrics["accuracy"] > 0.75  # 0.817 was measured; always walking would be right in 0.297
    # One of the older, a judo expert, fell; the others give false alarms only.
    assert [name for name, metrics in result.by_subject.items() if "auroc" in metrics] == ["SE06"]
    assert result.metrics["auroc"] > 0.97
    assert result.metrics["auprc"] > 5 * result.metrics["chance_auprc"]


_DAPHNET = {"S01": 0.95, "S02": 0.92, "S03": 0.98, "S05": 0.89, "S07": 0.91, "S08": 0.70}


def test_daphnet_one_patient_out(open_set: Open) -> None:
    """A plain random forest on all three sensors reached the AUROCs above, by patient; S06 never freezes."""
    window = load("daphnet", []).window
    window = WindowSettings(**{**vars(window), "frames": 0})
    sets = [open_set("daphnet", "daphnet/trimmed_csv", window, place) for place in ("ankle", "thigh", "trunk")]
    trunk = sets[-1]
    results = forest(trunk, event="freezing")
    alone = {name: m["auroc"] for r in results for name, m in r.by_subject.items() if "auroc" in m}
    assert alone.keys() == _DAPHNET.keys()
    assert np.mean(list(alone.values())) > 0.80  # 0.851 was measured with one sensor, at the trunk
    together = _all_sensors(sets)
    # 0.859 was measured against 0.892: fewer and simpler features do better with so few freezing windows.
    assert np.mean(list(together.values())) == pytest.approx(np.mean(list(_DAPHNET.values())), abs=0.06)
    # A patient has 7 to 121 freezing windows.
    assert together == pytest.approx(_DAPHNET, abs=0.12)


def _all_sensors(sets: list[ShardSet]) -> dict[str, float]:
    """AUROC of each patient by a forest on the windows that all sensors have."""
    moments = [
        {(str(r), round(float(s), 3)): i for i, (r, s) in enumerate(zip(t["recording"], t["start_s"], strict=True))}
        for t in (shards.table for shards in sets)
    ]
    shared = sorted(set.intersection(*(set(m) for m in moments)))
    found = []
    for shards, moment in zip(sets, moments, strict=True):
        windows = np.array([moment[key] for key in shared])
        found.append(handcrafted_features(*shards.imu(windows), shards.settings.imu_rate_hz))
    features = np.concatenate(found, axis=1)
    table = {name: sets[-1].table[name][[moments[-1][key] for key in shared]] for name in ("activity", "subject")}
    labelled = table["activity"] != ""
    labels = (table["activity"] == "freezing").astype(np.int64)
    scores = {}
    for patient in _DAPHNET:
        test = labelled & (table["subject"] == patient)
        train = labelled & (table["subject"] != patient)
        predicted = fit_forest(features[train], labels[train], 2, 0).probabilities(features[test])[:, 1]
        scores[patient] = float(roc_auc_score(labels[test], predicted))
    return scores
