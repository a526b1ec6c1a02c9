"""TensorBoard as its users see it: every tab opened in a browser, with the tags of a run and of its evaluation."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.browser import Page, browser
from helpers.made_results import make_results

from experiments.pretrain import run
from experiments.reports.evaluation import Report
from experiments.reports.evaluation.board import write_board
from experiments.reports.evaluation.figures import few_shot_figure
from experiments.runtime.run_folder import run_folder
from experiments.settings.schema import Config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

# All texts of a page, and of what it embeds: those inside of web components and of frames too.
TEXTS = """
(() => {
  const found = [];
  const walk = node => {
    if (node.nodeType === Node.TEXT_NODE) {
      if (node.textContent.trim()) found.push(node.textContent.trim());
      return;
    }
    if (["SCRIPT", "STYLE", "TEMPLATE"].includes(node.nodeName)) return;
    if (node.shadowRoot) walk(node.shadowRoot);
    if (node.nodeName === "IFRAME" && node.contentDocument) walk(node.contentDocument.body);
    node.childNodes.forEach(walk);
  };
  walk(document.body);
  return found.join("\\n");
})()
"""
PATIENCE_S = 120


@pytest.fixture(scope="module")
def address(tiny_in: Callable[..., Config], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where TensorBoard answers, with a pretrained run and an evaluation."""
    runs = tmp_path_factory.mktemp("board") / "runs"
    config = tiny_in(runs, "trainer.loggers=[tensorboard]")
    run(config)
    results = make_results("new people (wrist)", 4, ("walking", "sitting", "lying"), shots=(1, 5, 20), draws=2)
    report = Report(title="tiny/default", results=results, resamples=200)
    figure = few_shot_figure(report, "new people (wrist)")
    assert figure is not None
    write_board(report, {"few_shot": figure}, run_folder(config) / "tensorboard_eval")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(runs), "--host", "127.0.0.1"]
    process = subprocess.Popen(
        [*command, "--port", str(port), "--load_fast", "false"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for_runs(f"http://127.0.0.1:{port}/data/runs", process)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(20)


def _wait_for_runs(url: str, process: subprocess.Popen[bytes]) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        assert process.poll() is None, "TensorBoard has ended"
        try:
            content = opener.open(url, timeout=10).read().decode()
            if "tensorboard_eval/linear_probe" in content and "default/tensorboard" in content:
                return
        except OSError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"TensorBoard shows no runs within {PATIENCE_S} s")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


def shown(page: Page, *texts: str) -> str:
    """Wait until a page shows all of the texts; keeps a picture where IMU_VIDEO_HAR_SCREENSHOTS names a folder."""
    until = time.monotonic() + PATIENCE_S
    content = ""
    while time.monotonic() < until:
        content = page.run(TEXTS)
        if all(text in content for text in texts):
            if folder := os.environ.get("IMU_VIDEO_HAR_SCREENSHOTS"):
                time.sleep(3)  # curves are drawn after their titles
                name = re.sub(r"\W", "", page.run("location.hash").partition("&")[0])
                page.screenshot(Path(folder) / f"{name}.png", height=1000)
            return content
        time.sleep(0.5)
    raise AssertionError(f"not shown: {[text for text in texts if text not in content]}; shown:\n{content[:3000]}")


def go(page: Page, address: str, tab: str) -> None:
    page.open("about:blank")
    page.open(f"{address}{tab}", width=1500)


def test_time_series_have_the_groups_of_training_first(page: Page, address: str) -> None:
    go(page, address, "#timeseries")
    shown(page, "with k labelled windows an activity", "tensorboard_eval/linear_probe")
    first = ["training", "training_parameters", "training_resources", "validation", "validation_clips"]
    until, groups = time.monotonic() + PATIENCE_S, [""]
    while groups[: len(first)] != first and time.monotonic() < until:
        groups = re.findall(r"^([a-z][\w, %]+)\n\d+ cards?$", page.run(TEXTS), re.MULTILINE)
    assert groups[: len(first)] == first
    assert all(group.startswith("with ") for group in groups[len(first) :]), groups


def test_scalars(page: Page, address: str) -> None:
    go(page, address, "#scalars")
    shown(page, "training", "validation", "tensorboard_eval/linear_probe")


def test_custom_scalars_have_a_chart_for_each_metric(page: Page, address: str) -> None:
    go(page, address, "#custom_scalars")
    shown(page, "new people, wrist: with k labelled windows an activity", "accuracy, %, over k")


def test_images_show_clips_and_figures(page: Page, address: str) -> None:
    go(page, address, "#images")
    shown(page, "validation_clips", "window 1", "with k labels, figures")


def test_hyperparameters_have_final_metrics(page: Page, address: str) -> None:
    go(page, address, "#hparams")
    shown(
        page, "linear_probe", "new people", "validation/mrr", "with the most labels/accuracy on target 1", "IMU encoder"
    )


def test_projector_has_metadata_and_windows(page: Page, address: str) -> None:
    go(page, address, "#projector")
    shown(page, "Points:", "activity", "subject", "device")
