"""Figures of an evaluation: every contender and level, in %, and shares that add up."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from helpers.made_results import make_results
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.transforms import Bbox

from experiments.evaluation.features.embedding_map import make_embedding_map
from experiments.reports.evaluation import METRICS, Report, figures
from experiments.reports.evaluation.figures.style import style_of, titled

HOME = "people at home"
METHODS = ("zero_shot", "handcrafted_rf", "linear_probe", "finetune", "my_own_method")


def report(people: int = 8, classes: int = 3, **asked: object) -> Report:
    options: dict[str, object] = {"shots": (1, 5, 20), "draws": 2, "methods": METHODS, **asked}
    names = [f"activity_{i}" for i in range(classes)]
    found = make_results(HOME, people, names, **options)  # type: ignore[arg-type]
    return Report("x", found, 200, simulated_targets=frozenset({HOME}))


def with_map(made: Report, classes: int = 27, people: int = 22) -> Report:
    n = 3 * max(classes, people)
    features = np.random.default_rng(0).normal(size=(n, 4))
    activity = [f"a long name of an activity {i % classes}" for i in range(n)]
    found = make_embedding_map(features, activity, [f"p{i % people}" for i in range(n)], ["watch"] * n)
    return dataclasses.replace(made, maps={HOME: found})


def bars(axis: Axes) -> list[ErrorbarContainer]:
    return [container for container in axis.containers if isinstance(container, ErrorbarContainer)]


def texts_outside(figure: Figure) -> list[str]:
    """Visible texts that are cut by the figure's edge."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    page = Bbox.from_extents(-1, -1, figure.bbox.width + 1, figure.bbox.height + 1)
    found = []
    parts: list[Figure | Axes] = [figure, *figure.axes]
    texts = [text for part in parts for text in part.texts]
    for axis in (a for a in figure.axes if a.get_visible()):
        texts += [axis.title, axis.xaxis.label, axis.yaxis.label]
        for side, limits in ((axis.xaxis, axis.get_xlim()), (axis.yaxis, axis.get_ylim())):
            # Ticks beyond the limits are there, but not drawn.
            texts += [t.label1 for t in side.get_major_ticks() if min(limits) <= t.get_loc() <= max(limits)]
        legend = axis.get_legend()
        texts += legend.get_texts() if legend else []
    texts += [text for below in figure.legends for text in below.get_texts()]
    if figure.get_suptitle():
        texts.append(figure._suptitle)  # type: ignore[attr-defined]
    for text in texts:
        if text.get_visible() and text.get_text():
            box = text.get_window_extent()
            if not (page.containsx(box.x0) and page.containsx(box.x1) and page.containsy(box.y0)):
                found.append(text.get_text())
    return found


def test_curves_have_a_tick_for_each_number_of_shots_and_a_line_for_each_contender() -> None:
    figure = figures.few_shot_figure(report(), HOME)
    for axis, name in zip(figure.axes, ("balanced accuracy, %", "macro-F1, %"), strict=True):
        assert [label.get_text() for label in axis.get_xticklabels()] == ["1", "5", "20"]
        assert axis.get_xscale() == "log"
        assert axis.get_ylabel() == name
    table = report().estimates(HOME, "balanced_accuracy")
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    best = sorted(table, key=lambda name: -table[name][max(table[name])].mean)
    assert len(legend) == 5
    assert legend[0] == "pretrained, fine-tuned"
    assert best[0] == "finetune"
    assert legend[-1] == "zero-shot, source videos"
    assert "(simulated)" in figure.get_suptitle()
    assert "interval over 8 subjects" in figure.get_suptitle()


def test_curves_go_through_the_means() -> None:
    made = report()
    axis = figures.few_shot_figure(made, HOME).axes[0]
    drawn = [[float(y) for y in np.asarray(bar.lines[0].get_ydata())] for bar in bars(axis)]
    table = made.estimates(HOME, "balanced_accuracy")
    expected = [[100 * table[name][k].mean for k in (1, 5, 20)] for name in table if name != "zero_shot"]
    assert drawn == [pytest.approx(values) for values in expected]


def test_two_subjects_get_curves_without_intervals() -> None:
    figure = figures.few_shot_figure(report(people=2), HOME)
    assert figure.get_suptitle().endswith("mean over 2 subjects")
    assert {len(bar.lines[2]) for bar in bars(figure.axes[0])} == {0}


def test_without_labels_there_are_level_lines_alone() -> None:
    figure = figures.few_shot_figure(report(methods=("zero_shot",)), HOME)
    assert figure.axes[0].get_xlabel() == "no method here uses labels"


def test_whole_people_have_curves_of_their_own() -> None:
    figure = figures.few_shot_figure(report(subject_shots=(1, 2)), HOME, unit="subjects")
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["1", "2"]
    assert "subjects" in figure.axes[0].get_xlabel()


def test_systems_share_their_methods_colour_and_differ_in_line() -> None:
    listed = ["linear_probe", "linear_probe@a", "linear_probe@b", "mine", "yours"]
    styles = [style_of(name, listed) for name in listed]
    assert len({s.colour for s in styles[:3]}) == 1
    assert len({str(s.line) for s in styles[:3]}) == 3
    assert len({(s.colour, str(s.line)) for s in styles}) == 5


@pytest.mark.parametrize("n_classes", [2, 9, 27])
def test_a_confusion_matrix_names_all_activities_and_its_rows_add_up(n_classes: int) -> None:
    made = report(classes=n_classes, methods=("linear_probe",), shots=(5,))
    figure = figures.confusion_figure(made, HOME, "linear_probe", 5)
    assert figure is not None
    axis = figure.axes[0]
    names = [f"activity {i}" for i in range(n_classes)]  # in natural order: 10 after 9
    assert [label.get_text() for label in axis.get_yticklabels()] == names
    assert [label.get_text() for label in axis.get_xticklabels()] == names
    shares = np.asarray(axis.images[0].get_array())
    assert shares.sum(axis=1) == pytest.approx(np.full(n_classes, 100.0))
    counts = np.sum([r.confusion for r in made.results], axis=0)
    assert shares == pytest.approx(100 * counts / counts.sum(axis=1, keepdims=True))
    assert texts_outside(figure) == []


def test_folds_with_other_activities_are_added_by_name() -> None:
    first, second = (report(people=1, classes=n, methods=("linear_probe",), shots=(5,), draws=1) for n in (2, 4))
    both = Report("x", [*first.results, *second.results], 100)
    figure = figures.confusion_figure(both, HOME, "linear_probe", 5)
    assert figure is not None
    counts = second.results[0].confusion
    counts[:2, :2] += first.results[0].confusion
    expected = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    assert np.asarray(figure.axes[0].images[0].get_array()) == pytest.approx(expected)


def test_the_forest_has_a_row_for_each_pair() -> None:
    made = report(people=12)
    figure = figures.forest_figure(made, HOME)
    assert figure is not None
    shown = [pair for pair in made.pairs if pair.shots in (1, 5, 20)]
    points = [round(float(np.asarray(bar.lines[0].get_xdata())[0]), 9) for axis in figure.axes for bar in bars(axis)]
    assert sorted(points) == sorted(round(100 * pair.difference.mean, 9) for pair in shown)
    headings = [t.get_text() for t in figure.axes[0].get_yticklabels() if t.get_fontweight() == "bold"]
    assert headings == ["k = 1", "k = 5", "k = 20"]
    assert texts_outside(figure) == []


def test_the_answers_curve_has_the_sentences_contenders_and_their_control() -> None:
    made = report(people=12, methods=("handcrafted_rf", "random_frozen", "linear_probe", "knn"))
    figure = figures.answer_figure(made, HOME)
    assert figure is not None
    (axis,) = figure.axes
    legend = axis.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["random forest", "random weights", "linear probe"]
    line = next(line for line in axis.get_lines() if line.get_label() == "linear probe")
    means = [100 * value.mean for value in made.estimates(HOME, "balanced_accuracy")["linear_probe"].values()]
    assert np.asarray(line.get_ydata()) == pytest.approx(means)
    assert texts_outside(figure) == []
    level = figures.answer_figure(report(methods=("majority", "zero_shot")), HOME)
    assert level is not None
    assert level.axes[0].get_xlabel() == "no method here uses labels"


def test_the_forests_intervals_are_the_pairs() -> None:
    made = report(people=12, shots=(5,), methods=("linear_probe", "handcrafted_rf"))
    figure = figures.forest_figure(made, HOME)
    assert figure is not None
    (bar,) = bars(figure.axes[0])
    (segment,) = bar.lines[2][0].get_segments()
    difference = made.pairs[0].difference
    assert segment[:, 0] == pytest.approx([100 * difference.low, 100 * difference.high])


def test_robustness_has_a_panel_a_kind_and_marks_windows_as_they_are() -> None:
    made = report(perturbations=["rotation=90", "rotation=180", "clip=2", "clip=4", "gyroscope=0"])
    figure = figures.robustness_figure(made, HOME)
    assert figure is not None
    panels = {axis.get_title(): axis for axis in figure.axes if axis.get_visible()}
    assert list(panels) == ["sensor rotated", "clipped range", "gyroscope missing"]
    ticks = {
        name: [t.get_text() for _, t in sorted(zip(axis.get_xticks(), axis.get_xticklabels(), strict=True))]
        for name, axis in panels.items()
    }
    assert ticks["sensor rotated"] == ["0", "90", "180"]
    assert ticks["clipped range"] == ["2", "4", "as recorded"]  # the best is at the right
    assert ticks["gyroscope missing"] == ["there", "missing"]
    for axis in panels.values():
        assert len(bars(axis)) == len(METHODS)
    estimate = made.estimates(HOME, "balanced_accuracy")["zero_shot"][0]
    drawn = np.asarray(bars(panels["clipped range"])[0].lines[0].get_ydata())
    assert drawn[-1] == pytest.approx(100 * estimate.mean)
    assert texts_outside(figure) == []


@pytest.mark.filterwarnings("error:constrained_layout")  # axes that have collapsed
def test_the_longest_names_leave_room_for_the_curves() -> None:
    long = (
        "handcrafted_mean",
        "handcrafted_mean+views",
        "hybrid_mean@pretrained",
        "hybrid_mean+views+person@pretrained",
    )
    made = report(methods=(*long, "handcrafted_mean+views+person", "hybrid_mean+views+person_other@pretrained"))
    for draw in (figures.few_shot_figure, figures.forest_figure, figures.cost_figure):
        figure = draw(made, HOME)
        assert figure is not None
        assert texts_outside(figure) == []
        for axis in figure.axes:
            width, height = axis.get_position().size * figure.get_size_inches()
            assert width > 2, draw
            assert height > 2, draw


def test_costs_are_drawn_over_labels_and_over_seconds() -> None:
    figure = figures.cost_figure(report(), HOME)
    assert figure is not None
    by_labels, by_seconds = figure.axes
    assert by_labels.get_xscale() == by_seconds.get_xscale() == "log"
    assert len(by_seconds.lines) == len(METHODS)
    curve = next(line for line in by_labels.lines if len(np.asarray(line.get_xdata())) == 3)
    assert list(np.asarray(curve.get_xdata())) == [3, 15, 60]  # three activities
    assert texts_outside(figure) == []


def test_a_map_shows_the_same_points_by_activity_subject_and_device() -> None:
    figure = figures.map_figure(with_map(report()), HOME)
    assert figure is not None
    assert len(figure.axes) == 3
    counts = []
    for axis in figure.axes:
        counts.append(sum(len(np.asarray(c.get_offsets())) for c in axis.collections))
    assert counts == [81, 81, 81]
    assert ["chance" in axis.get_title() for axis in figure.axes] == [True, True, False]
    assert figure.axes[2].get_title().endswith("there is only one")
    marks = figure.axes[0].collections
    looks = {(tuple(np.array(c.get_facecolor())[0]), np.array(c.get_paths()[0].vertices).tobytes()) for c in marks}
    assert len(looks) == 27  # colour and marker together tell all activities apart
    legends = [a.get_legend() for a in figure.axes]
    assert [len(legend.get_texts()) for legend in legends if legend] == [27, 22, 1]
    assert texts_outside(figure) == []


def test_what_has_nothing_to_show_is_left_out() -> None:
    bare = Report("x", make_results(HOME, 3, ["a", "b"], shots=(1,), draws=1, methods=("majority",)), 100)
    assert list(figures.figures(bare)) == [
        "answer_people_at_home",
        "few_shot_people_at_home",
        "cost_people_at_home",
    ]
    undone = [dataclasses.replace(r, metrics={}, by_subject={}, confusion_by_subject={}) for r in report().results]
    assert list(figures.figures(Report("x", undone, 100))) == ["few_shot_people_at_home"]


def test_figures_are_written_say_what_they_show_and_lose_no_text(tmp_path: Path) -> None:
    made = figures.figures(with_map(report(perturbations=["noise=1"], subject_shots=(1, 2))))
    assert set(made) == {
        "few_shot_people_at_home",
        "few_shot_subjects_people_at_home",
        "answer_people_at_home",
        "forest_people_at_home",
        "confusion_people_at_home_linear_probe",
        "confusion_people_at_home_handcrafted_rf",
        "confusion_people_at_home_zero_shot",
        "robustness_people_at_home",
        "cost_people_at_home",
        "map_people_at_home",
    }
    assert "k = 20" in made["confusion_people_at_home_linear_probe"].axes[0].get_title()  # the most shots
    for figure in made.values():
        assert len(str(figure.get_label())) > 40
        assert HOME in str(figure.get_label())
    for path in figures.save(made, tmp_path):
        picture = imread(path)
        assert min(picture.shape[:2]) > 300
        assert picture.std() > 0.05
    assert {name: cut for name, figure in made.items() if (cut := texts_outside(figure))} == {}


def test_targets_whose_names_differ_in_signs_alone_keep_their_figures_apart() -> None:
    cells = [
        dataclasses.replace(r, cell=dataclasses.replace(r.cell, dataset=name))
        for name in ("people, home", "people (home)")
        for r in report(methods=("majority",)).results
    ]
    assert list(figures.figures(Report("x", cells, 100))) == [
        "answer_people_home",
        "few_shot_people_home",
        "cost_people_home",
        "answer_people_home_2",
        "few_shot_people_home_2",
        "cost_people_home_2",
    ]


def test_names_from_data_are_no_mathematics() -> None:
    cells = [
        dataclasses.replace(r, cell=dataclasses.replace(r.cell, dataset=r"$\frac{$ & <b>"), classes=["$a", "b$", "c^"])
        for r in report().results
    ]
    for figure in figures.figures(Report("x", cells, 100)).values():
        FigureCanvasAgg(figure).draw()
    assert set(METRICS) == {"accuracy", "balanced_accuracy", "macro_f1", "calibration_error"}


def test_a_long_title_of_a_narrow_figure_gets_two_lines() -> None:
    assert titled("at home", " (simulated)") == "at home (simulated)"
    assert titled("a_name", f" ({'x' * 70})") == f"a name\n({'x' * 70})"
    first, second = titled("n" * 90, " (simulated)").split("\n")
    assert (len(first), second) == (60, "(simulated)")
