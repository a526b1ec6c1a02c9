"""Damaged files of every kind, met by the functions that the commands call: one sentence that names the file.

Each file is emptied, torn, and replaced by random bytes, by text, by other JSON, by deep nesting and by a folder; then
single bits are flipped. A flip is noticed, or it changes nothing that is read.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.damaged_cases import (
    CASES,
    Case,
    config_of_a_run,
    config_of_another_run,
    encoder_config,
    experiment,
    head_json,
    manifest,
)
from helpers.equality import same

from experiments.evaluation.cell_store import CellStore
from experiments.runtime.command_line import EXIT_FAILED, guarded
from experiments.statistics.results import read as read_results

RANDOM = np.random.default_rng(0).integers(0, 256, 3000, dtype=np.uint8).tobytes()
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda whole: b"",
    "half": lambda whole: whole[: len(whole) // 2],
    "random": lambda whole: RANDOM,
    "text": lambda whole: b"these are words, not data\n",
    "list": lambda whole: b"[1, 2]\n",
    "number": lambda whole: b"5\n",
    "nested": lambda whole: b"[" * 50_000,
    "not UTF-8": lambda whole: b"a: \xff\xfe\n",
}
"""Kind of damage -> what a whole file becomes."""


def said(case: Case, capsys: pytest.CaptureFixture[str]) -> tuple[str, Any]:
    """Use a file under the guard of every command: what it says, and what it read."""
    found: list[Any] = []
    capsys.readouterr()
    code = guarded(lambda: found.append(case.use()) or 0, "experiments.pretrain")
    message = capsys.readouterr().err
    assert (code == EXIT_FAILED) == bool(message)
    return message, found[0] if found else None


def check_message(case: Case, message: str, how: str) -> None:
    assert message.startswith("python -m experiments.pretrain: "), (how, message)
    assert case.path.name in message or f"{case.path.parent} was trained" in message, (how, message)
    assert message.count("\n") == 1, (how, message)
    for never in ("Traceback", "weights_only", "run is complete", "pickle"):
        assert never not in message, (how, message)


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_a_damaged_file_ends_in_one_sentence(
    make: Callable[[Path], Case], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = make(tmp_path)
    whole = case.path.read_bytes()
    for how, damage in DAMAGES.items():
        case.path.write_bytes(damage(whole))
        message, _ = said(case, capsys)
        if how not in case.allowed or message:
            check_message(case, message, how)
    case.path.unlink()
    case.path.mkdir()
    message, _ = said(case, capsys)
    if case.path.name != "config.yaml":
        check_message(case, message, "a folder")


# Files that people may write have no digest: a flip that makes another valid setting of them can't be known.
WRITTEN_BY_PEOPLE = (config_of_a_run, config_of_another_run, experiment, manifest)


@pytest.mark.parametrize(
    ("make", "flips"),
    [
        *((make, 15) for make in CASES if make not in WRITTEN_BY_PEOPLE),
        *(pytest.param(make, 200, marks=pytest.mark.slow) for make in CASES),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_flipped_bit_is_noticed_or_changes_nothing(
    make: Callable[[Path], Case], flips: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = make(tmp_path)
    whole = case.path.read_bytes()
    rng = np.random.default_rng(1)
    _, expected = said(case, capsys)
    noticed = 0
    for position, bit in zip(
        rng.integers(0, len(whole), flips).tolist(), rng.integers(0, 8, flips).tolist(), strict=True
    ):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << bit
        case.path.write_bytes(flipped)
        message, found = said(case, capsys)
        if message:
            check_message(case, message, f"bit {bit} of byte {position}")
            noticed += 1
        elif case.bound:
            assert same(found, expected), f"bit {bit} of byte {position} of {case.path.name}"
    assert noticed or not case.bound


@pytest.mark.parametrize(
    ("make", "key", "value"),
    [(head_json, "temperature", 1.25), (head_json, "gyroscope", False), (encoder_config, "simulated", True)],
)
def test_another_valid_value_is_noticed_until_the_digest_is_deleted(
    make: Callable[[Path], Case], key: str, value: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = make(tmp_path)
    content = json.loads(case.path.read_text(encoding="utf-8"))
    content[key] = value
    case.path.write_text(json.dumps(content), encoding="utf-8")
    message, found = said(case, capsys)
    check_message(case, message, key)
    assert "if the change is meant, delete the line 'digest'" in message
    del content["digest"]
    case.path.write_text(json.dumps(content), encoding="utf-8")
    message, found = said(case, capsys)
    assert message == ""
    assert found is not None


def test_damaged_cells_are_named_and_computed_again(tmp_path: Path) -> None:
    path = tmp_path / "cells.jsonl"
    for how, damage in DAMAGES.items():
        path.write_bytes(damage(b"") or b"{}\n")
        store = CellStore(path)
        assert len(store) == 0
        assert store.ignored, how
        assert all("cells.jsonl, line " in line for line in store.ignored), how


def test_damaged_results_end_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "results.parquet"
    case = Case(path, lambda: read_results(path))
    for how, damage in DAMAGES.items():
        path.write_bytes(damage(json.dumps({}).encode()))
        message, _ = said(case, capsys)
        check_message(case, message, how)
