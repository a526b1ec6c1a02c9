"""Encoders of others as rows of their own: named in settings, loaded from a file, compared as baselines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.fake_shards import FakeShards
from helpers.made_cells import TINY, make_cell, make_config
from helpers.made_protocol import run
from helpers.real_data import real_data
from safetensors.torch import save_file

from datamodules.labelled import read_imu
from encoders.contract import ImuInput
from encoders.registry import build_imu_encoder
from encoders.weights import WeightsError, load_weights
from experiments.evaluation.errors import EvaluationError
from experiments.evaluation.features.external import external_table, mean_max_and_deviation
from experiments.evaluation.methods import find_method
from experiments.settings.evaluation import ExternalConfig

SHAPE = ImuInput(50, 25.0)


def weights_of(path: Path, seed: int) -> ExternalConfig:
    torch.manual_seed(seed)
    encoder = build_imu_encoder("cnn_transformer", TINY, SHAPE)
    head = {"head.weight": torch.zeros(2, 2)}
    save_file({**{k: v.contiguous() for k, v in encoder.state_dict().items()}, **head}, path)
    return ExternalConfig("cnn_transformer", dict(TINY), str(path))


def test_each_external_encoder_is_a_contender_and_its_weights_are_its_checkpoint(tmp_path: Path) -> None:
    named = {"one": weights_of(tmp_path / "1.safetensors", 1), "two": weights_of(tmp_path / "2.safetensors", 2)}
    config = make_config(methods=["external", "external+person", "majority"], external=named, shots=[2], draws=2)
    results = run(config, FakeShards())
    cells = {r.cell.contender: r.cell for r in results}
    assert set(cells) == {"external@one", "external@two", "external+person@one", "external+person@two", "majority"}
    assert cells["external@one"].encoder == "cnn_transformer"
    assert len({cells["external@one"].checkpoint, cells["external@two"].checkpoint, ""}) == 3
    assert (cells["external@one"].knowledge, cells["external+person@one"].knowledge) == ("none", "unlabelled")
    assert np.mean([r.metrics["accuracy"] for r in results if r.cell.contender == "external@one"]) > 0.5
    weights_of(tmp_path / "1.safetensors", 3)
    again = {r.cell.contender: r.cell for r in run(config, FakeShards())}
    assert again["external@one"].key != cells["external@one"].key
    assert again["external@two"].input_digest == cells["external@two"].input_digest


def test_features_are_mean_maximum_and_deviation_of_the_tokens(tmp_path: Path) -> None:
    data, test, _ = make_cell(FakeShards())
    settings = weights_of(tmp_path / "1.safetensors", 1)
    table = external_table(data.features, "one", settings)
    encoder = build_imu_encoder("cnn_transformer", TINY, SHAPE).eval()
    assert load_weights(encoder, Path(settings.weights)) == ["head.weight"]
    batch = read_imu(data.features.shards, test, "physical")
    with torch.no_grad():
        tokens, _, mask, _ = encoder(batch["imu"], batch["channel_mask"], batch["sample_mask"])
    for row, (own, valid) in enumerate(zip(tokens.numpy(), mask.numpy(), strict=True)):
        there = own[valid]
        expected = np.concatenate([there.mean(axis=0), there.max(axis=0), there.std(axis=0)])
        assert table[test][row] == pytest.approx(expected, abs=1e-4)  # batches of other sizes sum in another order


def test_invalid_tokens_have_no_part() -> None:
    tokens = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[True, True, True, False, False], [False] * 5])
    short = mean_max_and_deviation(tokens[:1, :3], mask[:1, :3])
    tokens[0, 3:] = 1e6
    found = mean_max_and_deviation(tokens, mask)
    assert torch.allclose(found[:1], short, atol=1e-6)
    assert (found[1] == 0).all()


def test_what_does_not_fit_is_said_before_anything_is_computed(tmp_path: Path) -> None:
    right = weights_of(tmp_path / "1.safetensors", 1)
    (tmp_path / "torn.safetensors").write_bytes(b"torn")
    for settings, message in (
        (None, "evaluation.external names none"),
        (replace(right, weights=str(tmp_path / "no.safetensors")), r"external\.one: no file"),
        (replace(right, weights=str(tmp_path / "torn.safetensors")), "not a safetensors file"),
        (replace(right, params={**TINY, "width": 32}), r"has shape .* expected .* these the encoder's settings"),
        (replace(right, encoder="cnn_transforme"), "did you mean 'cnn_transformer'"),
        (replace(right, encoder="limu_bert_x", params={}), "no entry 'transformer"),
    ):
        config = make_config(methods=["external"], external={} if settings is None else {"one": settings}, shots=[1])
        with pytest.raises(EvaluationError, match=message):
            run(config, FakeShards())
    with pytest.raises(WeightsError, match="no file"):
        load_weights(build_imu_encoder("cnn_transformer", TINY, SHAPE), tmp_path / "no.safetensors")


def test_the_published_encoder_of_limu_bert_x_is_a_row() -> None:
    path = real_data("limu-bert-x") / "limu_bert_x.safetensors"
    data, test, truth = make_cell(FakeShards())
    data.config.evaluation.external = {"limu_bert_x": ExternalConfig("limu_bert_x", {}, str(path))}
    scores = find_method("external").fit(replace(data, external="limu_bert_x"))(data.features, test)
    assert scores.shape == (len(test), 4)
    assert (scores.argmax(axis=1) == truth).mean() > 0.5  # chance is 0.25
