"""The whole way of a study with tell-tale names: nothing gives them away, and video stays where it is."""

from __future__ import annotations

import contextlib
import csv
import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.named_study import NAMES, write_study

from datamodules.privacy.pseudonyms import is_pseudonym
from experiments import adapt, eval_ood, predict, pretrain, preview, privacy_audit, pseudonyms, share

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
WRITTEN = (
    "index.json",
    "build.json",
    "windows-00000-00.h5",
    "quality.html",
    "config.yaml",
    "last.ckpt",
    "events.out",
    "results.csv",
    "cells.jsonl",
    "splits.yaml",
    "ledger.csv",
    "head.json",
    "README.md",
    "predictions.csv",
    "predictions.html",
    "console.log",
)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("clinic"))


class _Log:
    """What commands print, kept as a user would keep it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        out = io.StringIO()
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                yield
        finally:
            print(out.getvalue())  # pytest shows it where a command failed
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(out.getvalue())


def whole_way(study: Path, folder: Path, *settings: str) -> list[str]:
    """Build, pretrain, evaluate, adapt and predict; returns the arguments."""
    key = folder.parent / f"{folder.name}.key"
    arguments = [str(study), f"paths.data={folder / 'data'}", f"paths.runs={folder / 'runs'}", f"privacy.key={key}"]
    arguments += settings
    head = folder / "runs" / "study" / "default" / "head"
    manifest = str(study.parent / "manifest.yaml")
    with _Log(folder / "console.log").kept():
        assert pretrain.main(arguments) == 0
        assert eval_ood.main(arguments) == 0
        assert adapt.main([*arguments, "--method", "linear_probe"]) == 0
        assert (
            predict.main([str(head), manifest, "--key", str(key), "--output", str(folder / "out"), "--workers=1"]) == 0
        )
    return arguments


@pytest.fixture(scope="module")
def private(study: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("private") / "sent"
    return folder, whole_way(study, folder, "privacy.pseudonyms=true")


def audit(folder: Path, study: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    capsys.readouterr()
    code = privacy_audit.main([str(folder), "--names", str(study.parent / "names.txt")])
    return code, capsys.readouterr().out


def test_with_pseudonyms_nothing_gives_a_name_away(
    study: Path, private: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = private
    code, said = audit(folder, study, capsys)
    assert (code, said) == (0, f"none of {len(NAMES) + 1} names was found\n")
    assert any((folder / "runs").rglob("events.out.*"))
    assert (folder / "runs" / "study" / "default" / "results.csv").stat().st_size
    assert (folder / "out" / "predictions.csv").stat().st_size


def test_without_pseudonyms_the_audit_finds_all_of_them(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole_way(study, tmp_path / "open")
    code, said = audit(tmp_path / "open", study, capsys)
    assert code == 1
    for line in range(1, len(NAMES) + 2):
        assert f"name of line {line}\n" in said
    for name in WRITTEN:
        assert name in said, name


def test_the_owner_of_the_key_knows_who_is_who(
    private: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    _, arguments = private
    capsys.readouterr()
    assert pseudonyms.main(arguments) == 0
    rows = [line.split(",") for line in capsys.readouterr().out.splitlines()[1:]]
    assert {name for kind, _, name in rows if kind == "subject"} == set(NAMES)
    assert all(is_pseudonym(pseudonym) for _, pseudonym, _ in rows)
    recording = next(pseudonym for kind, pseudonym, _ in rows if kind == "recording")
    assert pseudonyms.main([*arguments, "--explain", recording]) == 0
    assert "it can be read" in capsys.readouterr().out


def test_elsewhere_trains_and_evaluates_without_video_names_or_key(
    study: Path,
    private: tuple[Path, list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, arguments = private
    sent = tmp_path / "sent"
    assert share.main([*arguments, "privacy.features_only=true", "--output", str(sent)]) == 0
    assert share.main([*arguments, "--output", str(sent)]) == 1  # nothing else is sent with it
    capsys.readouterr()
    assert audit(sent, study, capsys)[0] == 0
    assert not any(b"\xff\xd8\xff\xe0" in path.read_bytes() for path in sent.rglob("*") if path.is_file())
    key = folder.parent / "sent.key"
    away = tmp_path / "away"
    away.mkdir()
    moved = [(study.parent, away / "study"), (folder / "data", away / "data"), (key, away / "the.key")]
    for here, there in moved:
        shutil.move(here, there)
    try:
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
        monkeypatch.chdir(tmp_path)
        call = [str(sent / "experiment.yaml")]
        log = _Log(tmp_path / "console.log")
        with log.kept():
            assert pretrain.main(call) == 0
            assert eval_ood.main(call) == 0
        assert "no frame is shown (privacy.features_only)" in log.path.read_text(encoding="utf-8")
        for name in ("config.yaml", "results.csv"):
            assert (tmp_path / "runs" / "study" / "default" / name).is_file()
        assert not any(b"GIF8" in path.read_bytes() for path in (tmp_path / "runs").rglob("events.out.*"))
        capsys.readouterr()
        assert preview.main(call) == 1
        assert pretrain.main([*call, "video_encoder.weights=random", "run.name=other"]) == 1
        said = capsys.readouterr().err
        assert said.count("this needs frames: do it where the video is") == 2
        assert "Traceback" not in said
        assert not (tmp_path / "config").exists()  # no key was made
    finally:
        for here, back in moved:
            shutil.move(back, here)
    # The same training on the same numbers.
    assert numbers(folder / "runs") == numbers(tmp_path / "runs")


def numbers(runs: Path) -> list[tuple[str, ...]]:
    """What was measured, without the time that it took."""
    with (runs / "study" / "default" / "results.csv").open(encoding="utf-8", newline="") as file:
        columns = ("method", "fold", "shots", "metric", "value")
        rows = [tuple(row[name] for name in columns) for row in csv.DictReader(file)]
    assert any(row[0] == "linear_probe" for row in rows)
    return sorted(rows)
