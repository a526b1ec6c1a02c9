"""The examples run, and fit one screen."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.fake_shards import FakeShards
from helpers.made_cells import make_config
from helpers.made_protocol import run

from core.registry import Registry
from datamodules.sources.registry import SOURCES, make_source
from encoders.contract import ImuInput
from encoders.registry import IMU_ENCODERS, build_imu_encoder
from experiments.evaluation.methods.registry import METHODS

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"examples_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Callable[[Registry[object]], None]:
    """A function that lets a registry forget, after the test, what is registered in it."""

    def forget(registry: Registry[object]) -> None:
        registry.entries()
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
        monkeypatch.setattr(registry, "_made_from", dict(registry._made_from))

    return forget


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_fits_one_screen(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 60


def test_pretraining_on_the_simulator_and_features_of_an_array(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = load("pretrain_on_the_simulator").pretrain(tmp_path, epochs=2)
    assert "'validation/mrr'" in capsys.readouterr().out
    times = np.arange(1200) / 80.0  # 15 s at 80 Hz: three windows of 5 s
    recording = np.random.default_rng(0).normal(size=(1200, 6))
    features = load("features_of_an_array").encode(str(checkpoint), times, recording)
    assert features.pooled.shape[0] == 3
    assert torch.isfinite(features.pooled).all()
    # The same motion at another rate has nearly the same features: what is resampled is the same signal.
    finer = np.arange(0, 14.98, 1 / 200)
    smooth = np.stack([np.sin(finer * (k + 1)) for k in range(6)], axis=1)
    coarse = np.stack([np.sin(times * (k + 1)) for k in range(6)], axis=1)
    encode = load("features_of_an_array").encode
    first, second = encode(str(checkpoint), finer, smooth).pooled, encode(str(checkpoint), times, coarse).pooled
    # Sinusoids below 1 Hz: the spline and the low-pass change them by less than a hundredth.
    torch.testing.assert_close(first, second[: len(first)], atol=0.05, rtol=0.05)


def test_the_encoder_as_a_library(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = load("pretrain_on_the_simulator").pretrain(tmp_path, epochs=1)
    recording = np.random.default_rng(0).normal(0, 0.02, (2000, 6)) + np.array([0, 0, 1, 0, 0, 0])
    recording[700:750] = np.nan  # in the second window of 5 s
    times, pooled = load("encoder_as_a_library").features(str(checkpoint), recording, 100)
    assert times.tolist() == [[0, 5], [10, 15], [15, 20]]
    assert pooled.shape[0] == 3
    assert "left out: 5.0 s, gap" in capsys.readouterr().out


def test_the_new_encoder_is_found_by_its_name(forgotten: Callable[[Registry[object]], None]) -> None:
    forgotten(IMU_ENCODERS)  # type: ignore[arg-type]
    load("new_encoder")
    encoder = build_imu_encoder("mean_pool", {"width": 8}, ImuInput(100, 50.0))
    sample_mask = torch.ones(2, 100, dtype=torch.bool)
    sample_mask[1] = False
    features = encoder(torch.randn(2, 100, 6), torch.ones(2, 6, dtype=torch.bool), sample_mask)
    assert features.tokens.shape == (2, 10, 8)
    assert features.token_mask.any(dim=1).all()
    torch.testing.assert_close(features.token_times, torch.arange(10) * 0.2 + 0.1)


def test_the_new_source_reads_its_tables(tmp_path: Path, forgotten: Callable[[Registry[object]], None]) -> None:
    forgotten(SOURCES)  # type: ignore[arg-type]
    load("new_source")
    times = np.arange(100) / 50
    columns = {name: np.full(100, value) for name, value in zip(("ax", "ay", "az"), (0.0, 0.0, 1.0), strict=True)}
    rates = {name: np.full(100, 180.0) for name in ("gx", "gy", "gz")}
    table = pd.DataFrame({"time_s": times, **columns, **rates, "activity": ["walk"] * 60 + ["stand"] * 40})
    table.to_csv(tmp_path / "S01.csv", index=False)
    source = make_source("my_set", {"root": str(tmp_path)})
    (recording,) = source
    assert source.names() == ["S01"]
    assert recording.imu("wrist").values[0] == pytest.approx([0, 0, 9.80665, np.pi, np.pi, np.pi])
    assert [(i.start, round(i.end, 9), i.activity) for i in recording.activities] == [
        (0.0, 1.2, "walk"),
        (1.2, 1.98, "stand"),
    ]


def test_the_new_method_is_compared(forgotten: Callable[[Registry[object]], None]) -> None:
    forgotten(METHODS)  # type: ignore[arg-type]
    load("new_method")
    results = run(make_config(methods=["handcrafted_logistic_example"], shots=[3], draws=2), FakeShards())
    accuracies = [result.metrics["balanced_accuracy"] for result in results]
    assert len(accuracies) == 4  # two folds, two draws
    assert min(accuracies) > 0.8  # the made activities differ in tilt; chance is 0.25
