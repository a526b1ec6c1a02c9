"""Exported networks: the same numbers as this package's, in any batch and length."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.made_encoders import SMALL, small_encoder, small_head
from helpers.real_data import real_data

from datamodules.signal import NORMALISATIONS, normalise
from datamodules.windows.cut import Window
from experiments.export import main, run
from experiments.inference import InferenceError, export_checks
from experiments.inference.graph import Exportable, Normalised, Windows, open_exportable
from experiments.inference.head import save_head

ROOT = Path(__file__).parents[3]


def as_windows(windows: Windows) -> list[Window]:
    nothing: Any = np.empty(0)
    return [
        Window("", "", "", "", "", "", 0.0, imu, samples, channels, nothing.astype(int), nothing, nothing.astype(bool))
        for imu, channels, samples in zip(windows.imu, windows.channel_mask, windows.sample_mask, strict=True)
    ]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_encoder().save_pretrained(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def exportable(encoder: Path) -> Exportable:
    return open_exportable(str(encoder))


@pytest.fixture(scope="module")
def windows(exportable: Exportable) -> Windows:
    return export_checks.made_up(exportable, 40)


@pytest.mark.parametrize("mode", NORMALISATIONS)
def test_normalisation_inside_is_that_of_the_package(mode: str, windows: Windows) -> None:
    expected = normalise(windows.imu, windows.sample_mask, windows.channel_mask, mode)
    given = map(torch.from_numpy, (windows.imu, windows.channel_mask, windows.sample_mask))
    np.testing.assert_allclose(Normalised(mode)(*given).numpy(), expected, atol=2e-6)  # float32


@pytest.mark.parametrize(("method", "gyroscope"), [("hybrid_logistic", True), ("linear_probe", False)])
def test_the_network_of_a_head_gives_its_probabilities(
    method: str, gyroscope: bool, windows: Windows, tmp_path: Path
) -> None:
    head = small_head(method, gyroscope)
    found: Any = open_exportable(str(save_head(head, tmp_path / "head"))).run(windows)["probabilities"]
    # The head standardises in double precision, the network in single.
    np.testing.assert_allclose(found, head.probabilities(as_windows(windows)), atol=1e-5)


def test_a_head_without_a_network_is_refused(tmp_path: Path) -> None:
    folder = save_head(small_head("handcrafted_logistic"), tmp_path / "head")
    with pytest.raises(InferenceError, match=r"no network to export; its numbers are in head\.safetensors"):
        open_exportable(str(folder))


def test_differences_of_shapes_and_missing_numbers_count_as_infinite() -> None:
    one = {"a": np.zeros((2, 2))}
    assert export_checks.largest_difference(one, {"a": np.full((2, 2), 0.5)}) == 0.5
    assert export_checks.largest_difference(one, {"a": np.zeros((2, 3))}) == np.inf
    assert export_checks.largest_difference(one, {"a": np.full((2, 2), np.nan)}) == np.inf


def test_the_cost_of_8_bits_is_told_by_people_whom_the_head_never_saw(tmp_path: Path) -> None:
    folder = save_head(small_head("hybrid_logistic"), tmp_path / "head")
    exportable = replace(open_exportable(str(folder)), fitted_on=("old",))
    walking = list(exportable.classes).index("walking")
    # Of four windows each, single precision is right in all. 8 bits are in 3 of b's, and in none of old's.
    people = np.repeat(["old", "a", "b", "c"], 4)
    windows = Windows(
        np.zeros((16, 250, 6), np.float32), np.ones((16, 6), bool), np.ones((16, 250), bool),
        np.full(16, "walking"), people,
    )  # fmt: skip
    single = np.eye(3)[np.full(16, walking)]
    int8 = single.copy()
    int8[[0, 1, 2, 3, 11]] = np.eye(3)[(walking + 1) % 3]
    cost = export_checks.cost_of_int8(exportable, {"probabilities": single}, {"probabilities": int8}, windows)
    assert (cost.accuracy, cost.accuracy_int8, cost.labelled, cost.people) == (1.0, 2.75 / 3, 12, 3)
    assert cost.new_people
    assert cost.low is not None
    assert cost.high is not None
    assert cost.low < 2.75 / 3 - 1 < cost.high
    known = replace(exportable, fitted_on=("old", "a", "b", "c"))
    cost = export_checks.cost_of_int8(known, {"probabilities": single}, {"probabilities": int8}, windows)
    assert (cost.labelled, cost.people, cost.new_people) == (16, 4, False)
    assert cost.accuracy_int8 == pytest.approx(2.75 / 4)


def test_shards_of_another_length_are_refused(exportable: Exportable, tmp_path: Path) -> None:
    with pytest.raises(InferenceError, match="no shards here"):
        export_checks.of_shards(exportable, tmp_path, 10)


@pytest.mark.slow
def test_files_of_an_encoder(
    encoder: Path, exportable: Exportable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import onnxruntime

    folder = tmp_path / "exported"
    assert main([str(encoder), "--output", str(folder), "--windows", "40"]) == 0
    assert "largest difference from torch" in capsys.readouterr().out
    said = json.loads((folder / "preprocessing.json").read_text())
    assert (said["rate_hz"], said["samples"], said["any_length"]) == (50, 250, True)
    report = json.loads((folder / "report.json").read_text())
    assert report["largest_difference"] <= 1e-4
    assert report["int8"]["similarity"] > 0.99
    assert set(report["bytes"]) == {"model.onnx", "model.int8.onnx", "program.pt2"}

    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    program = torch.export.load(folder / "program.pt2").module()
    rng = np.random.default_rng(1)
    for rows, samples in ((1, 250), (5, 250), (3, 333)):
        imu = rng.normal(0, 5, (rows, samples, 6)).astype(np.float32)
        masks = np.ones((rows, 6), bool), np.ones((rows, samples), bool)
        expected: dict[str, Any] = exportable.run(Windows(imu, *masks, np.full(rows, "")))
        outputs = session.run(None, {"imu": imu, "channel_mask": masks[0], "sample_mask": masks[1]})
        by_program = program(*map(torch.from_numpy, (imu, *masks)))
        for name, value, other in zip(said["outputs"], outputs, by_program, strict=True):
            np.testing.assert_allclose(value, expected[name], atol=1e-4, err_msg=name)
            np.testing.assert_allclose(other.detach().numpy(), expected[name], atol=1e-4, err_msg=name)

    assert "pooled: (12, 32)" in said_without_torch(folder)


def said_without_torch(exported: Path) -> str:
    """What the example prints in a process that can't import torch."""
    code = (
        "import runpy, sys; sys.modules['torch'] = None; sys.argv = ['x', sys.argv[1]];"
        f" runpy.run_path({str(ROOT / 'examples' / 'onnx_without_torch.py')!r}, run_name='__main__')"
    )
    return subprocess.run(
        [sys.executable, "-c", code, str(exported)], capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.slow
def test_the_example_without_torch_takes_a_head(tmp_path: Path) -> None:
    folder = save_head(small_head("hybrid_logistic"), tmp_path / "head")
    run(str(folder), tmp_path / "exported", rows=8)
    assert "probabilities: (12, 3)" in said_without_torch(tmp_path / "exported")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(SMALL) - {"cnn_transformer"}))
def test_every_architecture_can_be_exported(name: str, tmp_path: Path) -> None:
    """Their windows have one length; any number of them goes through."""
    encoder = small_encoder(name, "window").save_pretrained(tmp_path / name)
    report = run(str(encoder), tmp_path / "exported", rows=12)
    assert report["largest_difference"] <= 1e-4
    assert json.loads((tmp_path / "exported" / "preprocessing.json").read_text())["any_length"] is False


@pytest.mark.slow
def test_an_encoder_with_gravity_aligned_channels_can_be_exported(tmp_path: Path) -> None:
    encoder = small_encoder(orientation="raw+gravity").save_pretrained(tmp_path / "encoder")
    report = run(str(encoder), tmp_path / "exported", rows=40)
    assert report["largest_difference"] <= 1e-4
    assert json.loads((tmp_path / "exported" / "preprocessing.json").read_text())["any_length"] is True


@pytest.mark.slow
def test_nothing_is_written_where_the_outputs_differ(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(export_checks, "TOLERANCE", -1.0)
    assert main([str(encoder), "--output", str(tmp_path / "exported"), "--windows", "8"]) == 1
    assert "nothing was written" in capsys.readouterr().err
    assert not (tmp_path / "exported").exists()


@pytest.mark.slow
def test_a_thousand_real_windows(encoder: Path, tmp_path: Path) -> None:
    """SisFall, by the project's own shards."""
    from experiments.artifacts.shards import open_dataset
    from experiments.settings.load import load

    root = real_data("sisfall")
    people = [f"SA0{k}" for k in range(1, 10)] + ["SE01", "SE02"]
    changes = [
        f"paths.data={tmp_path}",
        f"datasets.target.source.params={{root: {root}}}",
        f"datasets.target.subjects=[{','.join(people)}]",
    ]
    shards = open_dataset(load("sisfall", changes), "target")
    report = run(str(encoder), tmp_path / "exported", Path(shards.directory), 1000)
    assert report["windows"] == 1000
    assert report["real_windows"]
    assert report["largest_difference"] <= 1e-4
