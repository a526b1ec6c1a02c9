"""TensorBoard files of an evaluation: a run per method, curves over k, a row of hyperparameters."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.made_results import make_results
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams.metadata import parse_session_start_info_plugin_data

from experiments.reports.evaluation import Report, figures
from experiments.reports.evaluation.board import tag, write_board
from experiments.reports.evaluation.page import picture
from lightning_modules.monitoring import hparams

CLASSES = ("walking", "sitting", "lying")
METHODS = ("majority", "handcrafted_rf", "linear_probe", "linear_probe@imu_only")
TARGET = "new people (wrist)"


@pytest.fixture(scope="module")
def report() -> Report:
    made = [
        make_results(name, 4, CLASSES, shots=(1, 5), draws=2, methods=METHODS, subject_shots=(1, 2))
        for name in (TARGET, "chest")
    ]
    return Report(title="made/default", results=[cell for cells in made for cell in cells], resamples=200)


@pytest.fixture(scope="module")
def folder(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("board")
    write_board(report, {}, folder)
    return folder


def events(path: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(path))
    accumulator.Reload()
    return accumulator


def test_each_method_is_a_run_with_the_same_tags(folder: Path, report: Report) -> None:
    assert {path.name for path in folder.iterdir() if path.is_dir()} == set(METHODS)
    name = tag("windows", "accuracy", TARGET)
    assert "k labelled windows" in name
    for method in METHODS:
        curve = events(folder / method).Scalars(name)
        expected = report.estimates(TARGET, "accuracy")[method]
        # Steps are k; scalars are float32.
        assert {point.step: point.value for point in curve} == pytest.approx(
            {k: 100 * value.mean for k, value in expected.items()}, rel=1e-6
        )
    people = events(folder / "linear_probe").Scalars(tag("subjects", "macro_f1", "chest"))
    assert [point.step for point in people] == [1, 2]


def test_a_figure_is_drawn_once_for_files_the_page_and_tensorboard(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []
    save = Figure.savefig

    def count(self: Figure, to: Any, **options: Any) -> None:
        drawn.append(options["format"])
        save(self, to, **options)

    monkeypatch.setattr(Figure, "savefig", count)
    figure = Figure(figsize=(4, 2))
    figure.subplots().scatter(*np.random.default_rng(0).random((2, 5000)))  # so many that the page takes the PNG
    (file,) = figures.save({"curve": figure}, tmp_path / "figures")
    write_board(report, {"curve": figure}, tmp_path / "board")
    (shown,) = events(tmp_path / "board").Images("with k labels, figures/curve")
    assert shown.encoded_image_string == file.read_bytes()
    assert (shown.width, shown.height) == (4 * figures.DPI, 2 * figures.DPI)
    assert base64.b64decode(picture(figure).source.partition(",")[2]) == file.read_bytes()
    assert sorted(drawn) == ["png", "svg"]


def test_intervals_are_around_their_curve(folder: Path) -> None:
    found = events(folder / "linear_probe")
    lower, curve, upper = (
        [point.value for point in found.Scalars(tag("windows", "balanced_accuracy", TARGET, bound))]
        for bound in ("lower end", "", "upper end")
    )
    assert all(low <= value <= high for low, value, high in zip(lower, curve, upper, strict=True))


def test_custom_charts_find_their_curves(folder: Path) -> None:
    content = events(folder).Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0]
    layout = Layout.FromString(content)
    tags = events(folder / "linear_probe").Tags()["scalars"]
    assert next(category.title for category in layout.category).startswith("new people, wrist: with k")
    for category in layout.category:
        for chart in category.chart:
            for pattern in chart.multiline.tag:
                assert not set("()") & set(pattern)  # in the browser, such a line is not drawn
                assert sum(bool(re.search(pattern, name)) for name in tags) == 1, pattern
            for series in chart.margin.series:
                assert {series.value, series.lower, series.upper} <= set(tags)


def test_the_row_of_a_method_has_its_last_accuracy(folder: Path, report: Report) -> None:
    found = events(folder / "linear_probe")
    content = found.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    row = parse_session_start_info_plugin_data(content).hparams
    assert row["method"].string_value == "linear_probe"
    assert row["target 1"].string_value == TARGET
    assert row["labels an activity"].number_value == 5
    last = found.Scalars("with the most labels/accuracy on target 1")[0].value
    assert last == pytest.approx(100 * report.estimates(TARGET, "accuracy")["linear_probe"][5].mean, rel=1e-6)


def test_the_table_has_the_final_metric_of_every_target(tmp_path: Path) -> None:
    names = [f"target of {number}" for number in range(5)]
    results = [r for name in names for r in make_results(name, 2, ("walking", "sitting"), shots=(1, 5), draws=1)]
    report = Report(title="tiny/default", results=results, resamples=50)
    write_board(report, {}, tmp_path)
    found = events(tmp_path / "linear_probe")
    content = found.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    row = parse_session_start_info_plugin_data(content).hparams
    for number, name in enumerate(names, 1):
        assert row[f"target {number}"].string_value == name
        last = found.Scalars(f"with the most labels/accuracy on target {number}")[0].value
        expected = 100 * report.estimates(name, "accuracy")["linear_probe"][5].mean
        assert last == pytest.approx(expected, rel=1e-6)  # single precision
        assert f"with the most labels/accuracy on target {number}" in hparams.METRICS


def test_an_evaluation_replaces_the_one_before(report: Report, tmp_path: Path) -> None:
    for _ in range(2):
        write_board(report, {}, tmp_path)
    for path in (tmp_path, tmp_path / "majority"):
        assert len(list(path.glob("events*"))) == 1
