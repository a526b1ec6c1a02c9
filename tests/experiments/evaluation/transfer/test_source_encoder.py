"""An encoder that learns from labels of other data sets, kept between runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.fake_shards import FakeShards

from datamodules.shards.concat import ConcatShards
from encoders.contract import ImuEncoder
from experiments.evaluation.transfer.source_encoder import open_source_encoder
from experiments.evaluation.transfer.sources import Sources, SourceSet
from lightning_modules.source_classifier import SourceClassifierSettings

SETTINGS = SourceClassifierSettings(steps=12, batch_size=32)


def sources() -> Sources:
    first, second = FakeShards(), FakeShards(seed=1, activities=("turn", "walk"), source="other")
    made = {"a": first, "b": second}
    return Sources([SourceSet(key, ConcatShards([(key, shards)])) for key, shards in made.items()])  # type: ignore[list-item]


def weights(encoder: ImuEncoder) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in encoder.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_it_is_trained_once_and_then_loaded(tmp_path: Path) -> None:
    steps: list[int] = []
    before = torch.random.get_rng_state()
    first = weights(
        open_source_encoder(sources(), SETTINGS, 0, tmp_path, "cpu", lambda done, total: steps.append(done))
    )
    assert steps == list(range(1, 13))
    assert torch.equal(torch.random.get_rng_state(), before)  # other methods draw the same numbers as without it
    again = weights(
        open_source_encoder(sources(), SETTINGS, 0, tmp_path, "cpu", lambda done, total: steps.append(done))
    )
    assert len(steps) == 12
    assert same(first, again)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:100])  # damaged: made again, to the same weights
    assert same(first, weights(open_source_encoder(sources(), SETTINGS, 0, tmp_path, "cpu")))


def test_another_seed_or_setting_is_another_encoder(tmp_path: Path) -> None:
    first = weights(open_source_encoder(sources(), SETTINGS, 0, tmp_path, "cpu"))
    other = weights(open_source_encoder(sources(), SETTINGS, 1, tmp_path, "cpu"))
    longer = SourceClassifierSettings(steps=13, batch_size=32)
    third = weights(open_source_encoder(sources(), longer, 0, tmp_path, "cpu"))
    assert not same(first, other)
    assert not same(first, third)
    assert len(list(tmp_path.iterdir())) == 3


def test_subjects_are_named_with_their_source() -> None:
    assert sources().qualified_subjects == [*(f"fake/{i}" for i in "1234"), *(f"other/{i}" for i in "1234")]


def test_whitening_is_made_once() -> None:
    made = sources()
    whitening = made.whitening
    assert whitening is made.whitening
    assert np.isfinite(whitening.matrix).all()


def test_without_a_way_to_make_one_there_is_no_encoder() -> None:
    with pytest.raises(ValueError, match="there is none"):
        _ = sources().encoder
