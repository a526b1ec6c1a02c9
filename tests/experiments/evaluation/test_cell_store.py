"""Finished cells survive what happens to a process, and nothing else is taken for one."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from pathlib import Path

import pytest

from experiments.evaluation.cell_store import CellStore
from experiments.evaluation.cells import Cell, CellResult


def make_result(**changes: object) -> CellResult:
    cell = Cell(
        "target", "healthy", "linear_probe", "imu_only", "cnn_transformer", "abc", 5, "windows", 0, 1, 0, "noise=1",
        "input_digest",
    )  # fmt: skip
    cell = dataclasses.replace(cell, **{k: v for k, v in changes.items() if hasattr(cell, k)})  # type: ignore[arg-type]
    return CellResult(
        cell=cell,
        classes=["sitting", "walking"],
        event="",
        metrics={"accuracy": 0.75},
        by_subject={"a": {"accuracy": 0.5}, "b": {"accuracy": 1.0}},
        windows_by_subject={"a": 2, "b": 2},
        hours_by_subject={"a": 0.1, "b": 0.1},
        confusion_by_subject={"a": [[1, 0], [1, 0]], "b": [[1, 0], [0, 1]]},
        support_windows=10,
        support_subjects=3,
        seconds=0.1,
        simulated=False,
    )


def test_what_is_added_is_there_for_the_next_process(tmp_path: Path) -> None:
    store = CellStore(tmp_path / "run" / "cells.jsonl")
    result = make_result()
    assert store.get(result.cell) is None
    store.add(result)
    again = CellStore(tmp_path / "run" / "cells.jsonl")
    assert again.get(result.cell) == result
    assert len(again) == 1


def test_anything_that_a_result_depends_on_makes_another_cell(tmp_path: Path) -> None:
    store = CellStore(tmp_path / "cells.jsonl")
    store.add(make_result())
    for change in (
        {"input_digest": "x"},
        {"checkpoint": "x"},
        {"shots": 1},
        {"fold": 1},
        {"draw": 0},
        {"seed": 3},
        {"shots_unit": "subjects"},
        {"perturbation": ""},
        {"system": ""},
    ):
        assert store.get(make_result(**change).cell) is None, change


def test_a_torn_line_costs_that_cell_only(tmp_path: Path) -> None:
    path = tmp_path / "cells.jsonl"
    store = CellStore(path)
    first, second, third = (make_result(draw=draw) for draw in range(3))
    store.add(first)
    store.add(second)
    text = path.read_text()
    path.write_text(text[:-40])  # as a process that was killed in the middle of a write leaves it
    store = CellStore(path)
    assert store.get(first.cell) == first
    assert store.get(second.cell) is None
    assert len(store.ignored) == 1
    assert "line 2: not whole" in store.ignored[0]
    store.add(third)
    assert CellStore(path).get(third.cell) == third


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"[1, 2]", "not a finished cell"),
        (b"3", "not a finished cell"),
        (b'{"key": "x"}', "another version"),
        (b'{"key": "x", "cell": 5}', "another version"),
        (b"\xff\xfe\x00", "not whole"),
    ],
)
def test_what_something_else_wrote_is_ignored_and_named(tmp_path: Path, line: bytes, why: str) -> None:
    path = tmp_path / "cells.jsonl"
    result = make_result()
    CellStore(path).add(result)
    path.write_bytes(line + b"\n" + path.read_bytes())
    store = CellStore(path)
    assert store.get(result.cell) == result
    assert len(store.ignored) == 1
    assert f"{path}, line 1" in store.ignored[0]
    assert why in store.ignored[0]


def test_a_line_that_was_changed_by_hand_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "cells.jsonl"
    result = make_result()
    CellStore(path).add(result)
    path.write_text(path.read_text().replace('"shots": 5', '"shots": 1'))
    store = CellStore(path)
    assert store.get(result.cell) is None
    assert store.get(make_result(shots=1).cell) is None


def test_a_result_that_was_changed_by_hand_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "cells.jsonl"
    result = make_result()
    CellStore(path).add(result)
    path.write_text(path.read_text().replace('"accuracy": 0.75', '"accuracy": 0.999'))
    store = CellStore(path)
    assert store.get(result.cell) is None
    assert "changed since it was written" in store.ignored[0]


def test_a_result_with_nan_is_read_back(tmp_path: Path) -> None:
    result = dataclasses.replace(make_result(), metrics={"auroc": math.nan, "accuracy": 1 / 3})
    CellStore(tmp_path / "cells.jsonl").add(result)
    found = CellStore(tmp_path / "cells.jsonl").get(result.cell)
    assert found is not None
    assert found.metrics["accuracy"] == 1 / 3
    assert math.isnan(found.metrics["auroc"])


def earlier_line(result: CellResult) -> str:
    """A line as version 0.1.0 wrote it: two fields have other names, and the key digests these."""
    content = result.to_json()
    cell = content["cell"]
    cell["condition"] = cell.pop("perturbation")
    cell["binding"] = cell.pop("input_digest")
    key = hashlib.sha256(json.dumps(cell, sort_keys=True).encode()).hexdigest()[:24]
    return json.dumps({"key": key, **content}) + "\n"


def test_cells_of_version_0_1_0_are_found(tmp_path: Path) -> None:
    path = tmp_path / "cells.jsonl"
    first, second = make_result(draw=0), make_result(draw=1)
    path.write_text(earlier_line(first))
    store = CellStore(path)
    assert not store.ignored
    assert store.get(first.cell) == first
    store.add(second)
    again = CellStore(path)
    assert [again.get(result.cell) for result in (first, second)] == [first, second]


@pytest.mark.parametrize("field", ["shots", "condition"])
def test_a_changed_line_of_version_0_1_0_is_not_believed(tmp_path: Path, field: str) -> None:
    path = tmp_path / "cells.jsonl"
    content = json.loads(earlier_line(make_result()))
    content["cell"][field] = {"shots": 1, "condition": "noise=3"}[field]
    path.write_text(json.dumps(content) + "\n")
    store = CellStore(path)
    assert len(store) == 0
    assert "changed since it was written" in store.ignored[0]


def test_a_real_line_of_version_0_1_0_has_the_key_that_it_was_written_with(tmp_path: Path) -> None:
    # Key and cell as version 0.1.0 wrote them for the simulator.
    cell = {
        "dataset": "healthy, head (new people)", "population": "healthy", "method": "majority", "system": "",
        "encoder": "", "checkpoint": "", "shots": 0, "shots_unit": "windows", "fold": 0, "draw": 0, "seed": 0,
        "condition": "", "binding": "0de94f2dfc0c752ed13ef8f6da3c1a8778c6d1c070e3151c8c002c7eda8306fa",
    }  # fmt: skip
    content = {**make_result().to_json(), "cell": cell}
    path = tmp_path / "cells.jsonl"
    path.write_text(json.dumps({"key": "c99db159d74d5826175b344f", **content}) + "\n")
    store = CellStore(path)
    assert not store.ignored
    assert len(store) == 1
