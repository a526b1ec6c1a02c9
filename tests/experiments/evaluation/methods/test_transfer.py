"""Methods that also learn from labels of other laboratories: which features they use, and what they average."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.fake_shards import FakeShards
from helpers.made_cells import make_cell

from experiments.evaluation.errors import EvaluationError
from experiments.evaluation.methods import CellData, aeon_baselines, find_method
from experiments.evaluation.methods.hybrid import handcrafted, logistic_side_by_side, pretrained
from experiments.evaluation.methods.transfer import transferred


@pytest.fixture
def cell() -> tuple[CellData, Any, Any]:
    data, test, truth = make_cell(FakeShards())
    assert data.features.model is not None
    encoder = data.features.spec.build(3)  # other weights than the checkpoint's stand for what other labels teach
    data.features.source_encoder = lambda: encoder
    return data, test, truth


def predict(name: str, data: CellData, test: Any) -> Any:
    return find_method(name).fit(data)(data.features, test)


def test_each_has_the_features_that_its_name_says(cell: tuple[CellData, Any, Any]) -> None:
    data, test, _ = cell
    blocks = {
        "transfer_probe": {"transferred": transferred},
        "transfer_logistic": {"handcrafted": handcrafted, "transferred": transferred},
    }
    for name, used in blocks.items():
        assert (predict(name, data, test) == logistic_side_by_side(data, used)(data.features, test)).all()
    assert (predict("transfer_probe", data, test) != predict("linear_probe", data, test)).any()


def test_the_means_are_those_of_their_parts(cell: tuple[CellData, Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    # Other features stand for Hydra's, which need the extra aeon.
    monkeypatch.setattr(aeon_baselines, "hydra_table", lambda features: features.random)
    data, test, truth = cell
    three = {"handcrafted": handcrafted, "pretrained": pretrained, "transferred": transferred}
    logistic, trees = predict("transfer_logistic", data, test), predict("handcrafted_trees", data, test)
    hydra = predict("hydra", data, test)
    side_by_side = logistic_side_by_side(data, three)(data.features, test)
    # Averages of the same numbers: rounding alone.
    assert predict("transfer_mean", data, test) == pytest.approx(np.mean([logistic, trees], axis=0))
    assert predict("transfer_hydra", data, test) == pytest.approx(np.mean([logistic, trees, hydra], axis=0))
    assert predict("transfer_hybrid", data, test) == pytest.approx(np.mean([side_by_side, trees], axis=0))
    assert (predict("transfer_mean", data, test).argmax(axis=1) == truth).mean() > 0.9


def test_without_sources_the_message_says_what_is_missing() -> None:
    data, _, _ = make_cell(FakeShards())
    with pytest.raises(EvaluationError, match="other laboratories' encoder"):
        find_method("transfer_mean").fit(data)
