"""The HTML report as a browser shows it, and as a file."""

from __future__ import annotations

import dataclasses
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from helpers.browser import browser
from helpers.html_elements import Elements
from helpers.made_results import METHODS, make_results
from matplotlib.image import imread

from experiments.evaluation.features.embedding_map import make_embedding_map
from experiments.reports.evaluation import Report
from experiments.reports.evaluation.answer import answer_table, answers_of
from experiments.reports.evaluation.figures import figures
from experiments.reports.evaluation.page import html, picture, write_html
from experiments.reports.evaluation.sections import sections_of
from experiments.reports.evaluation.verdicts import verdicts_of

EVIL = "<script>document.title='taken'</script>"
HOME = f'home "{EVIL}" & co'
ACTIVITIES = ("walk", f"freeze {EVIL}", "<img src=x onerror=alert(1)>")
METHOD_SET = ("majority", "zero_shot", "handcrafted_rf", "linear_probe", "finetune", "linear_probe@imu_only")


def make_report() -> Report:
    """Everything that a report can have, with names that try to be HTML."""
    first = make_results(
        HOME,
        8,
        ACTIVITIES,
        shots=(1, 10),
        draws=2,
        methods=METHOD_SET,
        event=ACTIVITIES[1],
        perturbations=["rotation=90", "clip=2"],
        subject_shots=(1, 2),
        simulated=True,
    )
    first = [dataclasses.replace(r, notes=[f"note {EVIL}"]) for r in first]
    second = make_results("Daphnet", 9, ["freezing", "walking"], shots=(1, 10), draws=1, methods=METHODS)
    features = np.random.default_rng(0).normal(size=(90, 4))
    labels = [ACTIVITIES[i % 3] for i in range(90)]
    return Report(
        f"run {EVIL}",
        [*first, *second],
        300,
        checkpoint=f"last.ckpt {EVIL}",
        simulated_targets=frozenset({HOME}),
        seen_allowed=True,
        remarks=[f"left out: {EVIL}"],
        maps={HOME: make_embedding_map(features, labels, labels, labels)},
        audit={HOME: [f"3 windows of {EVIL} are there twice."]},
    )


@pytest.fixture(scope="module")
def report() -> Report:
    return make_report()


@pytest.fixture(scope="module")
def path(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "folder" / "report.html"
    write_html(report, figures(report), path)
    return path


@pytest.fixture(scope="module")
def page(path: Path) -> Elements:
    return Elements(path.read_text(encoding="utf-8"))


def test_nothing_is_fetched_from_anywhere(page: Elements, path: Path) -> None:
    for tag, attributes in page.found:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            value = attributes.get(name, "")
            assert value.startswith(("data:image/", "#")) or not value, f"<{tag} {name}={value[:60]}"
    assert not re.search(r"@import|url\(", path.read_text(encoding="utf-8"))
    assert page.named("link", "iframe", "object", "embed") == []
    assert "default-src 'none'" in next(m["content"] for m in page.named("meta") if "http-equiv" in m)


def test_what_comes_from_data_is_text_and_nothing_else(page: Elements) -> None:
    assert len(page.named("script")) == 1
    assert all("onerror" not in attributes for _, attributes in page.found)
    assert len([i for i in page.named("img") if not i["src"].startswith("data:")]) == 0
    for text in (f"run {EVIL}", f"note {EVIL}", f"left out: {EVIL}", HOME, ACTIVITIES[2]):
        assert text in page.text


def test_the_answer_comes_first_then_short_warnings_then_the_verdicts(page: Elements, report: Report) -> None:
    text = page.text
    answers = [text.index(answer.sentence) for answer in answers_of(report)]
    assert "simulated people" in answers_of(report)[0].sentence
    table = answer_table(report)
    assert table is not None
    small = text.index(table.note)
    contents = text.index("Contents")
    for warning in ("SIMULATED DATA", "NOT OUT OF DISTRIBUTION", "AUDIT: 3 windows of", "left out:"):
        assert max(answers) < small < text.index(warning) < contents
    for target in verdicts_of(report):
        for sentence in [*(each.sentence for each in target.planned), *(each.sentence for each in target.systems)]:
            assert small < text.index(sentence) < contents
    for dataset in report.datasets():
        for warning in report.warnings(dataset):
            assert text.count(warning) >= 2  # at the top, and before the target's numbers


def test_details_are_closed(page: Elements) -> None:
    assert len(page.named("details")) > 12
    assert all("open" not in attributes for attributes in page.named("details"))


def test_every_table_and_figure_of_the_report_is_there_and_described(page: Elements, report: Report) -> None:
    tables = [t for dataset in report.datasets() for s in sections_of(report, dataset) for t in s.tables]
    small = answer_table(report)
    assert small is not None
    tables.append(small)
    assert len(page.named("table")) == len(page.named("caption")) == len(tables)
    for table in tables:
        assert table.title in page.text
        assert table.note in page.text
    images = page.named("img")
    assert len(images) == len(figures(report))
    assert all(len(image["alt"]) > 40 for image in images)
    assert all(int(image["width"]) > 300 and int(image["height"]) > 200 for image in images)


def test_it_can_be_read_by_machine_and_by_ear(page: Elements) -> None:
    assert page.named("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _ in page.found if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    names = [attributes["id"] for _, attributes in page.found if "id" in attributes]
    assert len(set(names)) == len(names)
    assert {a["href"][1:] for a in page.named("a")} <= set(names)
    assert {a["aria-labelledby"] for a in page.named("section")} <= set(names)
    assert {head["scope"] for head in page.named("th")} == {"col", "row"}


@pytest.mark.slow
def test_the_same_report_is_the_same_file(path: Path) -> None:
    made = make_report()
    assert html(made, figures(made)) == path.read_text(encoding="utf-8")


def test_figures_that_are_missing_are_left_out(report: Report) -> None:
    assert "<img" not in html(report, {})


@pytest.mark.slow
def test_large_figures_become_pixels() -> None:
    features = np.random.default_rng(0).normal(size=(900, 3))
    labels = [str(i % 3) for i in range(900)]
    made = Report(
        "x",
        make_results("home", 3, ["a", "b"], shots=(1,), draws=1),
        100,
        maps={"home": make_embedding_map(features, labels, labels, labels)},
    )
    by_name = figures(made)
    assert picture(by_name["map_home"]).source.startswith("data:image/png;base64,")
    assert picture(by_name["few_shot_home"]).source.startswith("data:image/svg+xml;base64,")


def test_without_a_pretrained_encoder_it_says_that_there_is_no_claim() -> None:
    made = Report("x", make_results("home", 3, ["a", "b"], shots=(1,), draws=1, methods=("majority",)), 100)
    assert "so there is no verdict" in html(made, {})


@pytest.mark.slow
def test_in_a_browser(path: Path, report: Report, tmp_path: Path) -> None:
    with browser(tmp_path) as tab:
        for width, dark in ((1300, False), (420, False), (1300, True)):
            tab.open(path, width, dark)
            images = tab.run("[...document.images].map(image => [image.complete, image.naturalWidth])")
            assert len(images) == len(figures(report))
            assert all(complete and natural > 300 for complete, natural in images)
            # Wide tables scroll within themselves; the page does not.
            assert tab.run("document.documentElement.scrollWidth") <= width
            assert tab.run("document.title") == f"Out-of-distribution evaluation: run {EVIL}"
            background = tab.run("getComputedStyle(document.body).backgroundColor")
            assert (background == "rgb(255, 255, 255)") != dark
            seen = tab.run("document.body.innerText")
            assert all(answer.sentence in seen for answer in answers_of(report))
            top = "document.querySelector('.small table').getBoundingClientRect().bottom"
            assert width < 1300 or tab.run(top) < 800  # the answer and its table are on the first screen
            assert "SIMULATED DATA" in seen
        assert tab.complaints == []
        fetched = [address for address in tab.requests.values() if not address.startswith("data:")]
        assert fetched == [path.resolve().as_uri()] * 3

        tab.screenshot(tmp_path / "top.png", height=900)
        shown = imread(tmp_path / "top.png")
        assert shown.shape[:2] == (900, 1300)
        assert shown[..., :3].std() > 0.02  # letters, not a blank page

        link = "document.querySelector('nav a[href$=few_shot]')"
        part = f"document.getElementById({link}.hash.slice(1))"
        assert not tab.run(f"{part}.open")
        tab.run(f"{link}.click()")
        assert tab.run(
            f"new Promise(done => setTimeout(() => done({part}.open), 100))"
        )  # a link opens what it leads to

        column = f"[...{part}.querySelector('table').tBodies[0].rows].map(row => row.cells[2].textContent)"
        before = tab.run(column)
        tab.run(f"{part}.querySelectorAll('table thead th button')[2].click()")
        after = tab.run(column)
        numbers = [float(text.split()[0]) for text in after if text.strip()]
        assert sorted(after) == sorted(before)
        assert numbers == sorted(numbers, reverse=True)
        assert after[-1].strip() == ""  # empty cells stay below
        assert tab.complaints == []


def test_on_paper_tables_fit_and_nothing_is_dark(path: Path, tmp_path: Path) -> None:
    with browser(tmp_path) as tab:
        tab.open(path, 700, dark=True)  # A4 less its margins
        tab.ask("Emulation.setEmulatedMedia", media="print")
        assert tab.run("document.documentElement.scrollWidth") <= 700
        assert tab.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert tab.run("getComputedStyle(document.querySelector('nav')).display") == "none"
        tab.run("window.dispatchEvent(new Event('beforeprint'))")
        assert tab.run("document.querySelectorAll('details:not([open])').length") == 0
        tab.run("window.dispatchEvent(new Event('afterprint'))")
        assert tab.run("document.querySelectorAll('details:not([open])').length") > 0


def test_without_script_everything_is_there(path: Path, tmp_path: Path) -> None:
    with browser(tmp_path) as tab:
        tab.ask("Emulation.setScriptExecutionDisabled", value=True)
        tab.open(path)
        root = tab.ask("DOM.getDocument")["root"]["nodeId"]
        tables = tab.ask("DOM.querySelectorAll", nodeId=root, selector="table")["nodeIds"]
        buttons = tab.ask("DOM.querySelectorAll", nodeId=root, selector="button")["nodeIds"]
        assert len(tables) > 20
        assert buttons == []


def test_a_script_that_got_in_would_not_run(path: Path, tmp_path: Path) -> None:
    """The second line of defence: the page's policy allows its own script alone, and no request."""
    text = path.read_text(encoding="utf-8")
    planted = '<script>document.title = "taken"</script><img src="https://example.org/x.png" alt="">'
    broken = tmp_path / "broken.html"
    broken.write_text(text.replace("<footer>", f"{planted}<footer>"), encoding="utf-8")
    with browser(tmp_path / "profile") as tab:
        tab.open(broken)
        assert tab.run("document.title") != "taken"
        assert len(tab.complaints) >= 2  # both were refused
        assert tab.refused == ["https://example.org/x.png"]
        assert not [address for address in tab.requests.values() if address.startswith("http")]
