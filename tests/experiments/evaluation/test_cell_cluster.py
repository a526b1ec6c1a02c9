"""Cells on a Dask cluster of two worker processes: the same results as in one process, whoever dies on the way."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from datamodules.build import dask_client
from experiments.eval_ood import run
from experiments.evaluation import cell_cluster
from experiments.evaluation.cell_cluster import compute
from experiments.evaluation.errors import EvaluationError
from experiments.evaluation.opening import open_evaluation
from experiments.runtime.errors import UserError
from experiments.settings.schema import Config

distributed = pytest.importorskip("distributed")

Make = Callable[..., Config]
SETTINGS = (
    "evaluation.targets=[{name: chest, dataset: target}]",
    "datasets.target.source.name=simulator",
    "datasets.target.source.params={population: healthy, subjects: 4, first_subject: 60, sessions_per_subject: 2,"
    " session_s: 60, placements: [chest], cameras: []}",
    "datasets.target.placement=chest",
    "evaluation.methods=[majority,handcrafted_logistic,handcrafted_trees,linear_probe,hybrid_logistic+views,supervised]",
    "evaluation.shots=[1,3]",
    "evaluation.draws=3",
    "evaluation.draws_trained=1",
    "evaluation.supervised_epochs=2",
    "evaluation.bootstrap=100",
    "evaluation.map_windows=0",
    "evaluation.forest_trees=20",
    "evaluation.perturbations=['noise=1']",
    "evaluation.audit=false",
    "evaluation.shift=false",
    "trainer.threads=1",
)


@pytest.fixture
def config(trained: Make) -> Config:
    return trained(*SETTINGS)


def content(csv: Path) -> pd.DataFrame:
    return pd.read_csv(csv, keep_default_na=False).drop(columns="seconds")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as cluster:
        yield cluster


@pytest.mark.slow
def test_two_workers_of_whom_one_is_killed_give_the_same_table_to_the_last_digit(config: Config, cluster: Any) -> None:
    csv = run(config)
    alone = content(csv)
    cells = csv.parent / "cells.jsonl"
    lines = cells.read_bytes().count(b"\n")
    cells.unlink()
    with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
        first = min(client.run(os.getpid).values())
    killed = threading.Event()

    def kill() -> None:
        while not killed.wait(0.005):
            if cells.is_file() and cells.read_bytes().count(b"\n") > lines // 5:
                os.kill(first, signal.SIGKILL)
                killed.set()

    watching = threading.Thread(target=kill)
    watching.start()
    config.evaluation.scheduler = cluster.scheduler_address
    try:
        again = content(run(config))
        assert killed.is_set()
    finally:
        killed.set()
        watching.join()
    pd.testing.assert_frame_equal(again, alone, check_exact=True)
    assert cells.read_bytes().count(b"\n") == lines  # each cell once
    # Everything is there: nobody is asked any more, not even a scheduler that is gone.
    config.evaluation.scheduler = "tcp://127.0.0.1:9"
    pd.testing.assert_frame_equal(content(run(config)), alone, check_exact=True)


def test_a_worker_with_other_software_or_other_data_is_refused_in_words(config: Config) -> None:
    key = open_evaluation(config).plan(config)[0].cells[0].key
    software = cell_cluster._software()
    (result,) = compute(config, [[key]], software)
    assert [one.cell.key for one in result] == [key]
    with pytest.raises(EvaluationError, match=rf"process {os.getpid()}.*numpy .*\(here 1\.0\)"):
        compute(config, [[key]], {**software, "numpy": "1.0"})
    with pytest.raises(EvaluationError, match=r"it plans other cells \(none has the key 0123\).*start at"):
        compute(config, [["0123"]], software)


def test_without_dask_or_a_scheduler_the_message_says_what_to_do(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_client, "CONNECT_S", 0.5)
    config.evaluation.scheduler = "tcp://127.0.0.1:9"
    with pytest.raises(UserError, match=r"evaluation\.scheduler: no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        run(config)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UserError, match=r"Dask is not installed; pip install 'imu-video-har\[dask\]'"):
        run(config)
