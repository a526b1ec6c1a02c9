"""The encoder as a library: the evaluation's features, from arrays of any rate, unit and length."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from datamodules.recording import STANDARD_GRAVITY, ImuStream
from datamodules.sources.registry import make_source
from encoders import load_imu_encoder
from experiments.artifacts.shards import open_dataset
from experiments.evaluation.features.target_features import EncoderSpec, TargetFeatures
from experiments.evaluation.held_out_labels import UnlabelledShards
from experiments.evaluation.target_data import open_targets
from experiments.inference import InferenceError, PretrainedImuEncoder
from experiments.runtime.run_folder import run_folder
from lightning_modules.pretraining import ImuPretraining

Adapted = Any  # of conftest


@pytest.fixture(scope="module")
def encoder(adapted: Adapted) -> PretrainedImuEncoder:
    loaded: PretrainedImuEncoder = load_imu_encoder(run_folder(adapted.config))
    return loaded


def test_features_are_those_of_the_evaluation(adapted: Adapted, encoder: PretrainedImuEncoder) -> None:
    config = adapted.config
    (target,) = open_targets(config)
    model = ImuPretraining.load_pretrained(run_folder(config) / "checkpoints" / "last.ckpt")
    windows = np.arange(target.shards.n_windows)
    spec = EncoderSpec.of(config, target.shards, model)
    expected = TargetFeatures(UnlabelledShards(target.shards), windows, spec, model, 0, "cpu").pretrained[windows]

    dataset = config.datasets["study"].source
    source, table = make_source(dataset.name, dataset.params), open_dataset(config, "study").table
    for name in source.names()[:3]:
        recording = source.load(name)
        stream = recording.imu("head")
        stream = replace(stream, times=stream.times + recording.imu_clock_offset_s)
        found = encoder.embed_streams([stream])
        rows = np.flatnonzero(table["recording"] == name)
        np.testing.assert_allclose(found.starts, table["start_s"][rows], atol=1e-9)
        # Batches of other sizes add up in another order.
        np.testing.assert_allclose(found.pooled, expected[rows], atol=1e-5)


def test_units_change_nothing(encoder: PretrainedImuEncoder, stream: ImuStream) -> None:
    si = encoder.embed(stream.values, rate_hz=100, acceleration_unit="m/s^2")
    other = stream.values.copy()
    other[:, :3] *= 1000 / STANDARD_GRAVITY
    other[:, 3:] *= 180 / np.pi
    found = encoder.embed(other, rate_hz=100, acceleration_unit="mg", gyroscope_unit="deg/s")
    np.testing.assert_allclose(found.pooled, si.pooled, atol=1e-5)  # float32
    assert len(si) == 10
    assert si.tokens.shape[:2] == si.token_times.shape == si.token_mask.shape
    assert ((si.token_times >= si.starts[:, None]) & (si.token_times <= si.ends[:, None])).all()


def test_frames_and_lists_and_times(encoder: PretrainedImuEncoder, stream: ImuStream) -> None:
    expected = encoder.embed(stream.values, rate_hz=100, acceleration_unit="m/s^2")
    frame = pd.DataFrame(stream.values, columns=["ax", "ay", "az", "gx", "gy", "gz"])
    assert np.array_equal(encoder.embed(frame, rate_hz=100, acceleration_unit="m/s^2").pooled, expected.pooled)
    both = encoder.embed(
        [stream.values, stream.values[:900]],
        times=[stream.times, stream.times[:900]],
        acceleration_unit="m/s^2",
    )
    assert both.recording.tolist() == [0] * 10 + [1] * 2
    np.testing.assert_allclose(both.starts[:10], expected.starts + stream.times[0])
    np.testing.assert_allclose(both.pooled[:10], expected.pooled, atol=1e-5)


def test_a_missing_gyroscope_is_masked_not_zero_motion(encoder: PretrainedImuEncoder, stream: ImuStream) -> None:
    three = encoder.embed(stream.values[:, :3], rate_hz=100, acceleration_unit="m/s^2")
    missing = stream.values.copy()
    missing[:, 3:] = np.nan
    assert np.array_equal(encoder.embed(missing, rate_hz=100, acceleration_unit="m/s^2").pooled, three.pooled)
    whole = encoder.embed(stream.values, rate_hz=100, acceleration_unit="m/s^2")
    assert not np.allclose(whole.pooled, three.pooled, atol=1e-3)


def test_a_short_recording_is_one_padded_window_and_gaps_are_listed(
    encoder: PretrainedImuEncoder, stream: ImuStream
) -> None:
    short = encoder.embed(stream.values[:150], rate_hz=100, acceleration_unit="m/s^2")
    assert short.pooled.shape == (1, encoder.pooled_width)
    assert not short.token_mask.all()
    lost = stream.values.copy()
    lost[900:1000] = np.nan  # from 9 to 10 s, in the third window of 4 s
    found = encoder.embed(lost, rate_hz=100, acceleration_unit="m/s^2")
    assert [left_out.start_s for left_out in found.left_out] == [8.0]
    assert len(found) == 9


def test_a_long_array_in_parts_equals_its_windows_one_by_one(encoder: PretrainedImuEncoder, stream: ImuStream) -> None:
    """More windows than a part has; what is cut out of the middle is the same window."""
    long = np.tile(stream.values, (14, 1))
    found = encoder.embed(long, rate_hz=100, acceleration_unit="m/s^2")
    assert len(found) == 140
    again = encoder.embed(long[4000:8000], times=40 + np.arange(4000) / 100, acceleration_unit="m/s^2")
    # The first and last window lie at an end there, and have no neighbours that the low-pass could use.
    np.testing.assert_allclose(found.pooled[11:19], again.pooled[1:-1], atol=1e-4)


def without_gravity(values: np.ndarray) -> np.ndarray:
    """What phones call linear acceleration: without what stays the same for a second; its size is near 1 m/s^2."""
    second = np.ones(100) / 100
    smooth = np.stack([np.convolve(values[:, k], second, "same") for k in range(3)], axis=1)
    return np.concatenate([values[:, :3] - smooth, values[:, 3:]], axis=1)[100:-100]


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (lambda v: v / [*[STANDARD_GRAVITY] * 3, 1, 1, 1], {}, "look like g: set acceleration_unit='g'"),
        (lambda v: v, {"acceleration_unit": "g"}, "look like m/s"),
        (without_gravity, {}, "gravity must be in"),
        (lambda v: v * [1, 1, 1, 573, 573, 573], {}, "look like deg/s"),
        (lambda v: v.T, {}, "transpose it"),
        (lambda v: v[None], {}, "list of recordings"),
        (lambda v: v[:, :5], {}, r"\(samples, 3\) or \(samples, 6\)"),
        (lambda v: v[:1], {}, "at least 2"),
        (lambda v: v.astype(str).astype(object) + "x", {}, "expected numbers"),
        (lambda v: v, {"acceleration_unit": "G"}, "did you mean 'g'"),
        (lambda v: v, {"rate_hz": 0.01}, "samples a second"),
        (lambda v: v, {"rate_hz": None}, "rate_hz"),
        (lambda v: v, {"rate_hz": 8}, "at least 10 Hz"),
        (lambda v: v, {"rate_hz": None, "times": np.zeros(4000)}, "ascend"),
        (lambda v: v, {"times": np.arange(4000)}, "one of them"),
        (lambda v: pd.DataFrame(v, columns=list("xyzuvw")), {}, "columns="),
    ],
)
def test_what_cannot_be_right_is_refused_with_a_remedy(
    encoder: PretrainedImuEncoder, stream: ImuStream, change: object, options: dict[str, object], words: str
) -> None:
    arguments = {"rate_hz": 100, "acceleration_unit": "m/s^2", **options}
    with pytest.raises(InferenceError, match=words):
        encoder.embed(change(stream.values), **arguments)  # type: ignore[operator, arg-type]


def test_slow_turning_where_it_moves_is_a_warning(encoder: PretrainedImuEncoder, stream: ImuStream) -> None:
    moving = stream.values + 3 * np.sin(np.arange(4000) / 8)[:, None] * [1, 1, 1, 0, 0, 0]
    with pytest.warns(UserWarning, match="rad/s"):
        encoder.embed(moving, rate_hz=100, acceleration_unit="m/s^2", gyroscope_unit="deg/s")


def test_a_saved_encoder_is_the_same(encoder: PretrainedImuEncoder, stream: ImuStream, tmp_path: Path) -> None:
    expected = encoder.embed(stream.values, rate_hz=100, acceleration_unit="m/s^2").pooled
    folder = encoder.save_pretrained(tmp_path / "encoder")
    for path in (folder, folder / "model.safetensors"):
        again = load_imu_encoder(path)
        assert repr(again) == repr(encoder)
        assert "features of each 4 s at 50 Hz; pretrained on simulated people" in repr(again)
        assert again.digest() == encoder.digest()
        assert np.array_equal(again.embed(stream.values, rate_hz=100, acceleration_unit="m/s^2").pooled, expected)


def test_damaged_encoders_end_in_one_sentence(encoder: PretrainedImuEncoder, tmp_path: Path) -> None:
    folder = encoder.save_pretrained(tmp_path / "encoder")
    config = json.loads((folder / "config.json").read_text())
    for change, words in (
        ({"weights": "0" * 64}, "not those of"),
        ({"name": "no_such"}, "there is no IMU encoder"),
        ({"params": {**config["params"], "width": 32}}, "don't fit"),
        ({"format": "x"}, "format"),
        ({"normalisation": 3}, "damaged"),
        ({"window": {"duration_s": "5"}}, "damaged"),
    ):
        (folder / "config.json").write_text(json.dumps({**config, **change}))
        with pytest.raises(InferenceError, match=words) as error:
            load_imu_encoder(folder)
        assert "\n" not in str(error.value)
    (folder / "config.json").write_text(json.dumps(config))
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(InferenceError, match="damaged"):
        load_imu_encoder(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InferenceError, match="no encoder in this folder"):
        load_imu_encoder(tmp_path / "empty")
    with pytest.raises(InferenceError, match="no such file"):
        load_imu_encoder(tmp_path / "nothing")
