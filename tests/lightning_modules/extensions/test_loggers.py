"""Loggers of other packages: what they get, what they store, and what they refuse."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from lightning_modules.extensions.make import make
from lightning_modules.extensions.registry import LOGGERS, Extension


class Made:
    def __init__(self, name: str = "", project: str = "", save_dir: str = "") -> None:
        self.name, self.project, self.save_dir = name, project, save_dir


class _RefusedError(Exception):
    pass


_RefusedError.__module__ = "theirs.errors"


class Refusing:
    def __init__(self) -> None:
        pass

    @property
    def experiment(self) -> None:
        raise _RefusedError("no API key")


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "study" / "default"
    folder.mkdir(parents=True)
    return folder


def test_settings_come_before_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def default(folder: Path) -> dict[str, str]:
        return {"name": folder.name, "project": "theirs"}

    extension = Extension(Made, lambda folder: {"save_dir": str(folder)}, default)
    monkeypatch.setitem(LOGGERS.entries(), "made", extension)
    monkeypatch.setitem(LOGGERS._entries, "made", extension)
    made = make(LOGGERS, "made", {"project": "mine"}, tmp_path / "default", [])
    assert (made.name, made.project, made.save_dir) == ("default", "mine", str(tmp_path / "default"))
    with pytest.raises(ValueError, match=r"^logger_params\.made\.save_dir: it is given by the run"):
        make(LOGGERS, "made", {"save_dir": "x"}, tmp_path, [])


def test_what_a_package_refuses_is_said_before_the_training_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LOGGERS.entries(), "theirs", None)
    monkeypatch.setitem(LOGGERS._entries, "theirs", Extension(Refusing, needs="theirs"))
    with pytest.raises(ValueError, match=r"^loggers: 'theirs' can't be used: no API key$"):
        make(LOGGERS, "theirs", {}, tmp_path, [])
    # An error of anything else is a fault of the program, and is shown as one.
    monkeypatch.setitem(LOGGERS._entries, "theirs", Extension(Refusing, needs="others"))
    with pytest.raises(_RefusedError):
        make(LOGGERS, "theirs", {}, tmp_path, [])


def test_mlflow_has_one_database_beside_the_runs(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = LOGGERS.entry("mlflow").default(run_folder)
    assert given["experiment_name"] == "study"
    assert given["tracking_uri"] == f"sqlite:///{run_folder.resolve().parents[1] / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert LOGGERS.entry("mlflow").default(run_folder)["tracking_uri"] == "http://127.0.0.1:5000"


def test_mlflow_stores_settings_and_curves(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow", reason="needs the extra mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    logger = make(LOGGERS, "mlflow", {}, run_folder, [])
    logger.log_hyperparams({"optim": {"lr": 0.5}})
    for step in (0, 1):
        logger.log_metrics({"training/loss": 2.0 - step}, step)
    logger.finalize("success")
    with closing(sqlite3.connect(run_folder.parents[1] / "mlflow.db")) as database:
        assert database.execute("select name from experiments where name != 'Default'").fetchall() == [("study",)]
        assert database.execute("select name, status from runs").fetchall() == [("study/default", "FINISHED")]
        assert database.execute("select key, value from params").fetchall() == [("optim/lr", "0.5")]
        found = database.execute("select step, value from metrics where key = 'training/loss' order by step").fetchall()
    assert found == [(0, 2.0), (1, 1.0)]


def test_wandb_stores_a_run_on_the_disk(run_folder: Path) -> None:
    wandb = pytest.importorskip("wandb", reason="needs the extra wandb")
    logger = make(LOGGERS, "wandb", {"offline": True, "project": "imu"}, run_folder, [])
    logger.log_hyperparams({"optim": {"lr": 0.5}})
    logger.log_metrics({"training/loss": 2.0}, 0)
    logger.finalize("success")
    wandb.teardown()  # what is left is written when its own process ends
    (stored,) = (run_folder / "wandb").glob("offline-run-*/run-*.wandb")
    content = stored.read_bytes()
    assert all(word in content for word in (b"study/default", b"imu", b"training/loss", b"optim"))
