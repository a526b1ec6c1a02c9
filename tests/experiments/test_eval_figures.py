"""What the evaluation's figures show: every method and number of shots, in %, and shares that add up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.image import imread

from experiments import figures
from experiments.cells import Cell, CellResult
from experiments.report import Report

PEOPLE = ("a", "b", "c")
DATASET = "people at home"


def make(method: str, shots: int, accuracy: float, n_classes: int = 2, people: tuple[str, ...] = PEOPLE) -> CellResult:
    cell = Cell(DATASET, "parkinson", method, "enc", "ck", shots, 0, 0, 0, "x")
    metrics = dict.fromkeys(("accuracy", "balanced_accuracy", "macro_f1"), accuracy)
    by_subject = {name: {m: v + 0.1 * (i - 1) for m, v in metrics.items()} for i, name in enumerate(people)}
    confusion = np.eye(n_classes, dtype=int) * 4
    confusion[:, 0] += 2
    classes = [f"activity_{i}" for i in range(n_classes)]
    counts = dict.fromkeys(people, 4)
    return CellResult(cell, classes, metrics, by_subject, counts, confusion.tolist(), 2 * shots, 0.1, True)


def report(people: tuple[str, ...] = PEOPLE) -> Report:
    found = [make("zero_shot", 0, 0.5, people=people)]
    for shots in (1, 5, 20):
        found.append(make("linear_probe", shots, 0.6 + shots / 100, people=people))
        found.append(make("my_own_method", shots, 0.4 + shots / 100, people=people))
    return Report("x", found, 100, simulated_targets=frozenset({DATASET}))


def test_curves_have_a_tick_for_each_number_of_shots_and_a_line_for_each_method() -> None:
    figure = figures.few_shot_figure(report(), DATASET)
    for axis, name in zip(figure.axes, ("balanced accuracy, %", "macro-F1, %"), strict=True):
        assert [label.get_text() for label in axis.get_xticklabels()] == ["1", "5", "20"]
        assert axis.get_xscale() == "log"
        assert axis.get_ylim() == (0, 100)
        assert axis.get_ylabel() == name
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["pretrained, linear probe", "my own method", "zero-shot, source videos"]  # best first
    assert "(simulated)" in figure.get_suptitle()
    assert "interval over 3 participants" in figure.get_suptitle()


def bars(axis: Axes) -> list[ErrorbarContainer]:
    return [container for container in axis.containers if isinstance(container, ErrorbarContainer)]


def test_curves_go_through_the_means() -> None:
    axis = figures.few_shot_figure(report(), DATASET).axes[0]
    means = sorted([float(y) for y in np.asarray(bar.lines[0].get_ydata())] for bar in bars(axis))
    assert means == [pytest.approx([41, 45, 60]), pytest.approx([61, 65, 80])]


def test_two_participants_get_curves_without_intervals() -> None:
    figure = figures.few_shot_figure(report(("a", "b")), DATASET)
    assert figure.get_suptitle().endswith("mean over 2 participants")
    assert [len(bar.lines[2]) for bar in bars(figure.axes[0])] == [0, 0]


def test_without_labels_there_are_level_lines_alone() -> None:
    figure = figures.few_shot_figure(Report("x", [make("zero_shot", 0, 0.5)], 100), DATASET)
    assert figure.axes[0].get_xlabel() == "no method here uses labels"


@pytest.mark.parametrize("n_classes", [2, 9, 27])
def test_a_confusion_matrix_names_all_activities_and_its_rows_add_up(n_classes: int) -> None:
    found = Report("x", [make("linear_probe", 5, 0.5, n_classes)] * 2, 100)
    figure = figures.confusion_figure(found, DATASET, "linear_probe", 5)
    assert figure is not None
    axis = figure.axes[0]
    names = [f"activity {i}" for i in range(n_classes)]  # in natural order: 10 after 9
    assert [label.get_text() for label in axis.get_yticklabels()] == names
    assert [label.get_text() for label in axis.get_xticklabels()] == names
    shares = np.asarray(axis.images[0].get_array())
    assert shares.sum(axis=1) == pytest.approx(np.full(n_classes, 100.0))
    assert shares[1, 0] == pytest.approx(100 / 3)
    assert {text.get_text() for text in axis.texts} == {"100", "33", "67"}


def test_folds_with_other_activities_are_added_by_name() -> None:
    first, second = make("linear_probe", 5, 0.5, 2), make("linear_probe", 5, 0.5, 3)
    figure = figures.confusion_figure(Report("x", [first, second], 100), DATASET, "linear_probe", 5)
    assert figure is not None
    assert np.asarray(figure.axes[0].images[0].get_array())[1] == pytest.approx([100 / 3, 200 / 3, 0])


def test_figures_are_written_and_show_something(tmp_path: Path) -> None:
    made = figures.figures(report())
    assert list(made) == [
        "few_shot_people_at_home",
        "confusion_people_at_home_linear_probe",
        "confusion_people_at_home_zero_shot",
    ]
    assert "k = 20" in made["confusion_people_at_home_linear_probe"].axes[0].get_title()  # the most shots
    for path in figures.save(made, tmp_path):
        picture = imread(path)
        assert min(picture.shape[:2]) > 300
        assert picture.std() > 0.05
