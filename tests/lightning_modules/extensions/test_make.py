"""Loggers and callbacks by name or path, arguments of the Trainer: what is taken, and what is refused with a reason."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import lightning as L
import pytest
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.profilers import Profiler, SimpleProfiler

from core.registry import Registry
from lightning_modules.extensions.arguments import OWNED, arguments_of_trainer, check_trainer_arguments
from lightning_modules.extensions.make import check_name, check_params, make, make_part
from lightning_modules.extensions.registry import CALLBACKS, LOGGERS, Extension


def test_every_argument_of_the_trainer_is_allowed_or_owned_by_the_project() -> None:
    names = set(inspect.signature(L.Trainer).parameters)
    assert set(OWNED) <= names, "the project owns an argument that Lightning no longer has"
    assert set(arguments_of_trainer()) == names - set(OWNED)
    check_trainer_arguments(dict.fromkeys(arguments_of_trainer()))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("limit_train_batch", r"^kwargs\.limit_train_batch: .*did you mean 'limit_train_batches'\?"),
        ("max_epochs", r"^kwargs\.max_epochs: it is the project's own setting: write trainer\.max_epochs=\.\.\."),
        ("max_steps", r"^kwargs\.max_steps: it would end the run before"),
        ("logger", r"trainer\.loggers"),
    ],
)
def test_a_wrong_argument_says_what_to_write(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_trainer_arguments({name: 1})


@pytest.mark.parametrize("registry", [LOGGERS, CALLBACKS])
def test_what_a_run_gives_is_taken_by_each_class(registry: Registry[Extension], tmp_path: Path) -> None:
    for name, entry in registry.entries().items():
        names = set(inspect.signature(entry.create).parameters)
        assert set(entry.given(tmp_path)) <= names, name


def test_parts_are_made_by_name_and_by_path(tmp_path: Path) -> None:
    csv = make(LOGGERS, "csv", {"flush_logs_every_n_steps": 7}, tmp_path, [])
    assert isinstance(csv, CSVLogger)
    assert Path(csv.log_dir) == tmp_path / "csv"
    named = make(CALLBACKS, "early_stopping", {"monitor": "validation/mrr", "mode": "max"}, tmp_path, [])
    by_path = make(CALLBACKS, "lightning.pytorch.callbacks:EarlyStopping", {"monitor": "x"}, tmp_path, [])
    assert isinstance(named, EarlyStopping)
    assert isinstance(by_path, EarlyStopping)
    assert named.mode == "max"


def test_a_path_is_followed_only_where_it_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "someones.py").write_text(
        "import lightning as L\nclass Mine(L.Callback):\n    def __init__(self, n=1): self.n = n\nclass Other: pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ValueError, match=r"^callbacks: 'someones:Mine' would run code.*trainer\.trust=\[someones\]"):
        make(CALLBACKS, "someones:Mine", {}, tmp_path, [])
    assert "someones" not in sys.modules, "it was imported before it was trusted"
    assert make(CALLBACKS, "someones:Mine", {"n": 3}, tmp_path, ["someones"]).n == 3
    with pytest.raises(ValueError, match=r"'someones:Other' is no class of the kind Callback"):
        make(CALLBACKS, "someones:Other", {}, tmp_path, ["someones"])
    with pytest.raises(ValueError, match=r"^callbacks: 'someones:Nowhere' is no class"):
        make(CALLBACKS, "someones:Nowhere", {}, tmp_path, ["someones"])
    with pytest.raises(ValueError, match=r"Mine has no argument 'm'"):
        make(CALLBACKS, "someones:Mine", {"m": 3}, tmp_path, ["someones"])
    # A package of a name that only begins like a trusted one is another package.
    with pytest.raises(ValueError, match="would run code"):
        make(CALLBACKS, "someones_evil:Mine", {}, tmp_path, ["someones"])
    monkeypatch.delitem(sys.modules, "someones")


def test_names_and_arguments_are_checked_without_making_anything() -> None:
    with pytest.raises(ValueError, match=r"^loggers: there is no logger 'tensorbord'; did you mean 'tensorboard'\?"):
        check_name(LOGGERS, "tensorbord", "loggers", [])
    with pytest.raises(ValueError, match=r"^callback_params\.early_stopping\.monitr: .*did you mean 'monitor'\?"):
        check_params(CALLBACKS, ["early_stopping"], {"early_stopping": {"monitr": "x"}})
    with pytest.raises(ValueError, match=r"^logger_params\.csv\.save_dir: it is given by the run"):
        check_params(LOGGERS, ["csv"], {"csv": {"save_dir": "x"}})
    with pytest.raises(ValueError, match=r"^logger_params\.csv: loggers does not name it"):
        check_params(LOGGERS, ["tensorboard"], {"csv": {}})


def test_a_logger_whose_package_is_missing_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("no module 'wandb'")

    monkeypatch.setitem(LOGGERS.entries(), "wandb", None)  # looked up before it is replaced
    monkeypatch.setitem(LOGGERS._entries, "wandb", Extension(missing, needs="wandb"))
    with pytest.raises(ValueError, match=r"^loggers: 'wandb' needs the package wandb: pip install 'imu-video-har\[wan"):
        make(LOGGERS, "wandb", {}, tmp_path, [])


def test_a_part_of_the_trainer_is_a_name_of_lightnings_or_a_path() -> None:
    assert make_part("simple", "kwargs.profiler", [], (Profiler,)) == "simple"
    path = "lightning.pytorch.profilers:SimpleProfiler"
    assert isinstance(make_part(path, "kwargs.profiler", [], (Profiler,)), SimpleProfiler)
    made = make_part({"class": path, "filename": "x"}, "kwargs.profiler", [], (Profiler,))
    assert made.filename == "x"
    with pytest.raises(ValueError, match="has no argument 'file'"):
        make_part({"class": path, "file": "x"}, "kwargs.profiler", [], (Profiler,))
