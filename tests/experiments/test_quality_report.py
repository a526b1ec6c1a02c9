"""The report on a build: its numbers against what was planted, the page as a file and in a browser, and its size."""

from __future__ import annotations

import copy
import dataclasses
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.browser import browser
from helpers.html_elements import Elements
from helpers.made_faults import SECONDS, SETTINGS, register

from datamodules.build.run import build
from datamodules.windows.cut import Reason
from experiments import build_shards, quality_report
from experiments.reports.build import FILE, gather, html
from experiments.reports.build.content import Quality, RecordingQuality
from experiments.reports.build.drawings import time_line
from experiments.reports.build.remarks import remarks_of
from experiments.reports.build.tables import activities_table, clocks_table, reasons_table, subjects_table
from experiments.reports.build.words import in_order, meaning_of, settings_of, share, title_of
from experiments.reports.shared.words import duration


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "shards"
    with pytest.MonkeyPatch.context() as patch:
        build(register(patch), {}, folder, SETTINGS, camera="room", workers=1, recordings_per_shard=4, clocks="off")
    return folder


@pytest.fixture(scope="module")
def quality(folder: Path) -> Quality:
    return gather(folder)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Quality:
    """A thousand recordings."""
    folder = tmp_path_factory.mktemp("large")
    with pytest.MonkeyPatch.context() as patch:
        build(register(patch), {"many": 50}, folder, SETTINGS, workers=1)
    small = gather(folder)
    thousand = [one for number in range(20) for one in _renamed(small, number)]
    return Quality(folder, small.index, thousand)


def _renamed(small: Quality, number: int) -> Iterator[RecordingQuality]:
    for one in small.recordings:
        other = copy.copy(one)
        other.name, other.subject = f"{one.name}_{number}", f"{one.subject}_{number}"
        yield other


def test_what_was_planted_is_counted(quality: Quality) -> None:
    by_name = {one.name: one for one in quality.recordings}
    assert len(by_name) == 11
    assert quality.kept == sum(one.kept for one in quality.recordings) == 9 * 12 + 8 - 6 - 2 - 5
    expected = {
        "gap": 1,
        "nan": 1,
        "flat_line": 1,
        "repeated": 1,
        "missing_frames": 1,
        "black_video": 2,
        "frozen_video": 6,
    }
    assert quality.lost == expected
    assert by_name["p3_unusable"].unusable.startswith("p3_unusable.csv: line 3")
    assert by_name["p3_unusable"].facts is None
    for one in quality.recordings:
        assert one.kept + sum(one.lost.values()) == (0 if one.unusable else 8 if "late" in one.name else 12)
        assert sum(one.activities.values()) == one.kept
        assert (np.diff(one.starts) > 0).all()
    assert quality.activities == ["sit <i>", "walk", ""]
    assert list(quality.by_subject) == ["p1", "p2", "p3", "p4", ""]


def test_tables_add_up(quality: Quality) -> None:
    reasons = {row[0]: row for row in reasons_table(quality).rows}
    assert reasons["frozen video"][1:5] == ("6", share(6, quality.kept + 13), "1", "1")
    assert reasons["unusable recording"][1:4] == ("1", "", "1")
    people = {row[0]: row for row in subjects_table(quality).rows}
    assert people["p4"][2:8] == ("2", duration(120), duration(120), "", "17", "7")
    assert people["p2"][5] == duration(1.54)
    assert people["unknown"][2] == "1"
    activities = activities_table(quality)
    numbers = [[int(text or 0) for text in row[1:]] for row in activities.rows]
    assert [sum(column) for column in zip(*numbers[:-1], strict=True)] == numbers[-1]
    assert numbers[-1][-1] == quality.kept
    assert clocks_table(quality).rows[0] == ("p2_clocks", "+420", "", "0.990", "disagree")


def test_remarks_say_what_is_wrong_and_not_what_is_right(quality: Quality) -> None:
    remarks = remarks_of(quality)
    problems = [remark.text for remark in remarks if remark.kind == "problem"]
    assert [remark.kind for remark in remarks] == sorted((remark.kind for remark in remarks), reverse=True)
    assert problems[0] == "1 of 11 recordings could not be used: p3_unusable. The causes are below."
    assert any("p2_clocks (+0.42 s)" in text and "in 1 recording:" in text for text in problems)
    assert len(problems) == 2
    texts = " ".join(remark.text for remark in remarks)
    assert "100 samples of 1 recording share another one's time stamp: p1_repeated" in texts
    assert "The video covers less than 90% of the sensor's time in 1 recording: p1_late (66.7 %)" in texts
    assert "of the kept windows have no label" in texts
    assert "not near 1 g" not in texts
    assert "jitter" not in texts


def test_a_good_build_has_nothing_to_look_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("helpers.made_faults.KINDS", ("fine",) * 5)
    build(register(monkeypatch), {"many": 11}, tmp_path, SETTINGS, workers=1)
    quality = gather(tmp_path)
    assert [r.text for r in remarks_of(quality)] == [f"{share(2, 12)} of the kept windows have no label."]
    assert quality.lost == Counter()
    assert "Nothing was left out." in html(quality)


def test_a_build_without_a_window_is_explained_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("helpers.made_faults.KINDS", ("unusable",) * 5)
    build(register(monkeypatch), {"many": 5}, tmp_path, SETTINGS, workers=1)
    text = Elements(html(gather(tmp_path))).text
    assert "5 of 5 recordings could not be used" in text
    assert "p0_unusable_4" in text


def test_clocks_that_were_shifted_dropped_or_not_looked_at(quality: Quality) -> None:
    clocks: list[dict[str, Any]] = [
        {"clock_offset_s": 0.5, "clock_confidence": 0.99},
        {"clock_offset_s": 0.05, "clock_apart_s": 0.6, "clock_confidence": 0.99, "clock_applied": True},
        {"clock_offset_s": 0.7, "clock_confidence": 0.3, "clock_drift_ppm": 20.0},
        {"clock_note": "sensor and video share 3.0 s"},
        {"clock_offset_s": 0.01, "clock_confidence": 0.99},
        {},
    ]
    known = [one for one in quality.recordings if one.facts is not None]
    changed = []
    for one, clock in zip(known, clocks, strict=False):
        assert one.facts is not None
        facts = dataclasses.replace(one.facts, clock=clock)
        changed.append(RecordingQuality(one.name, one.subject, facts, one.starts, one.activities))
    assert changed[0].facts is not None
    dropped = RecordingQuality("dropped", "p9", dataclasses.replace(changed[0].facts, recording="dropped"))
    dropped.left_out = [
        {"recording": "dropped", "start_s": 0.0, "reason": "clocks", "detail": "video.mp4: 900 ms apart"}
    ]
    changed.append(dropped)
    made = Quality(quality.directory, quality.index, changed)
    rows = [row[1:] for row in clocks_table(made).rows]
    assert [row[-1] for row in rows] == [
        "disagree", "disagree", "disagreed, shifted", "can't tell", "agree",
        "not looked at: sensor and video share 3.0 s",
    ]  # fmt: skip
    texts = [remark.text for remark in remarks_of(made)]
    assert any("gave no window (clocks disagree): dropped" in text for text in texts)
    assert any("nothing was shifted, in 1 recording" in text for text in texts)
    assert any("stamps were shifted" in text and "(+0.60 s)" in text for text in texts)
    assert any("It is unknown if the clocks of camera and sensor agree in 2 of 6 recordings" in text for text in texts)
    assert sum(dropped.lost.values()) == 0
    assert 'class="out" d="M58 ' in time_line(dropped, SETTINGS, {}, 100)


def test_the_page_is_whole_and_takes_data_for_text(quality: Quality) -> None:
    text = html(quality)
    page = Elements(text)
    assert "SIMULATED DATA" in page.text
    assert "at 0:20: holes.mp4: the video has no frame for 2.20 s" in page.text
    assert "line 3 has two columns; expected seven <b>" in page.text
    assert "sit <i>" in page.text
    assert "<b>" not in re.sub(r"<b>p\d_\w+</b>", "", text)
    assert len([tag for tag, _ in page.found if tag == "script"]) == 1
    assert not [a for tag, a in page.found if "src" in a or (a.get("href", "#")[0] != "#")]
    assert not re.search(r"@import|url\(", text)
    drawn = [a["aria-label"] for tag, a in page.found if tag == "svg" and a["class"] == "line"]
    assert len(drawn) == 10
    assert f"p4_frozen: {duration(60)}, 6 windows kept, 6 left out, 0 gaps of the sensor" in drawn
    names = {a["id"] for _, a in page.found if "id" in a}
    assert {a["href"][1:] for tag, a in page.found if tag == "a"} <= names
    assert html(quality) == text


def test_a_time_line_shows_every_stretch_where_it_is(quality: Quality) -> None:
    one = next(one for one in quality.recordings if one.name == "p2_gap")
    drawing = time_line(one, SETTINGS, {"walk": 0, "sit <i>": 1}, 600)

    def stretches(kind: str) -> list[tuple[float, float]]:
        path = re.search(rf'class="{kind}" d="([^"]*)"', drawing)
        scale = SECONDS / (1000 - 58)
        found = re.findall(r"M([\d.]+) \d+h([\d.]+)v", path[1]) if path else []
        return [((float(x) - 58) * scale, (float(x) - 58 + float(w)) * scale) for x, w in found]

    cell = SECONDS / 600 + 0.02  # numbers are written with four digits
    assert np.allclose(stretches("gap"), [(11.98, 13.52)], atol=cell)
    assert np.allclose(stretches("out"), [(10, 15)], atol=cell)
    assert np.allclose(stretches("kept"), [(0, 10), (15, 60)], atol=cell)
    assert np.allclose(stretches("a0"), [(0, 30)], atol=cell)
    assert np.allclose(stretches("a1"), [(30, 48)], atol=cell)
    assert np.allclose(stretches("video"), [(0, 60)], atol=cell)
    # However coarse, what was lost is seen.
    assert 'class="gap"' in time_line(one, SETTINGS, {}, 4)
    unusable = next(one for one in quality.recordings if one.unusable)
    with pytest.raises(ValueError, match="p3_unusable could not be used"):
        time_line(unusable, SETTINGS, {}, 100)


def test_a_thousand_recordings_stay_one_small_page(large: Quality, tmp_path: Path) -> None:
    assert len(large.recordings) == 1000
    text = html(large)
    assert text.count('class="line"') == 1000
    assert len(text) < 4_000_000
    # Folded: otherwise a browser would lay out all of it.
    assert text.count('<details class="subject" open') == 0
    assert text.count('<details class="subject"') == 100


def test_no_more_are_drawn_than_a_page_bears(large: Quality, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.reports.build.page._MOST_DRAWN", 95)
    monkeypatch.setattr("experiments.reports.build.page._BUDGET", 1000)
    text = html(large)
    assert text.count('class="line"') == 95
    assert "5 more recordings are not drawn" in text
    assert "10 more recordings are not drawn" in text


def test_the_command_makes_it_without_building(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.name != FILE}
    assert quality_report.main([str(folder.parent)]) == 0
    assert capsys.readouterr().out == f"report: {folder / FILE}\n"
    assert (folder / FILE).read_text(encoding="utf-8") == html(gather(folder))
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.name != FILE} == before


def test_every_build_ends_with_it(tiny_yaml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [str(tiny_yaml), f"paths.data={tmp_path}"]
    assert build_shards.main(command) == 0
    pages = sorted(tmp_path.rglob(FILE))
    said = capsys.readouterr().out
    assert pages
    assert all(f"report: {page}\n" in said for page in pages)
    first = pages[0].read_text(encoding="utf-8")
    pages[0].unlink()
    assert build_shards.main(command) == 0  # nothing to build
    assert pages[0].read_text(encoding="utf-8") == first
    # Of an earlier build: the one after it was killed before it came to its page.
    pages[0].write_text("old", encoding="utf-8")
    os.utime(pages[0], (1.0, 1.0))
    assert build_shards.main(command) == 0
    assert pages[0].read_text(encoding="utf-8") == first


def test_an_unfinished_build_has_no_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert quality_report.main([str(tmp_path)]) == 1
    assert "index.json: not there; a finished build writes it last" in capsys.readouterr().err
    assert not (tmp_path / FILE).exists()


def test_every_reason_is_explained_with_the_builds_own_thresholds() -> None:
    for reason in Reason:
        assert title_of(reason.value)
        for name in settings_of(reason.value).split(", "):
            assert name in ("", "build.clocks") or hasattr(SETTINGS, name.removeprefix("window."))
    assert meaning_of("gap", SETTINGS) == "no samples for longer than 0.1 s"
    assert in_order(["later", "unusable", "gap"]) == ["gap", "unusable", "later"]
    assert title_of("some_new_reason") == "some new reason"
    assert [duration(s).replace("\N{NO-BREAK SPACE}", " ") for s in (3.21, 61, 7500)] == [
        "3.2 s",
        "1 min 01 s",
        "2 h 05 min",
    ]
    assert [share(0, 0), share(1, 100_000), share(99_999, 100_000), share(1, 2)] == [
        "",
        "< 0.1 %",
        "> 99.9 %",
        "50.0 %",
    ]


def test_in_a_browser(folder: Path, large: Quality, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(html(gather(folder)), encoding="utf-8")
    with browser(tmp_path / "profile") as tab:
        for width, dark in ((1200, False), (420, True)):
            tab.open(path, width, dark)
            assert tab.run("document.documentElement.scrollWidth") <= width
            assert (tab.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)") != dark
            seen = tab.run("document.body.innerText")
            for words in ("What to look at", "p3_unusable", "frozen video", "Every recording", "SIMULATED DATA"):
                assert words in seen
            lines = tab.run(
                "[...document.querySelectorAll('svg.line')].map(line => line.getBoundingClientRect().height)"
            )
            assert len(lines) == 10
            assert min(lines) > 15
            gap = "getComputedStyle(document.querySelector('svg .gap')).fill"
            assert tab.run(gap) == ("rgb(255, 107, 107)" if dark else "rgb(209, 36, 47)")
        tab.run("document.querySelectorAll('table thead th button')[1].click()")
        assert tab.complaints == []
        assert set(tab.requests.values()) == {path.resolve().as_uri()}
        path.write_text(html(large), encoding="utf-8")
        tab.open(path)
        assert tab.run("document.querySelectorAll('svg.line').length") == 1000
        tab.run("document.querySelector('details.subject').open = true")
        assert tab.run("document.querySelector('svg.line').getBoundingClientRect().height") > 15
        assert tab.complaints == []
