"""Fits that methods share: once each, also from several threads, and the same results as alone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers.fake_shards import FakeShards
from helpers.made_cells import make_cell

from experiments.evaluation.features import forests
from experiments.evaluation.features.shared_fits import SharedFits
from experiments.evaluation.methods import find_method
from experiments.evaluation.methods import handcrafted as methods


def test_each_key_is_computed_once_by_whichever_thread_asks_first() -> None:
    fits, calls, gate = SharedFits(4), [], threading.Event()

    def compute() -> int:
        gate.wait(5)
        calls.append(1)
        return 7

    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(fits.once, "key", compute) for _ in range(8)]
        gate.set()
        assert [future.result() for future in waiting] == [7] * 8
    assert calls == [1]


def test_the_oldest_goes_first_and_errors_are_not_kept() -> None:
    fits = SharedFits(2)
    made: list[str] = []

    def ask(key: str) -> None:
        fits.once(key, lambda: made.append(key))

    for key in ("a", "b", "a", "c", "a", "b"):
        ask(key)
    assert made == ["a", "b", "c", "b"]

    def broken() -> int:
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            fits.once("d", broken)
    assert fits.once("d", lambda: 1) == 1


def test_methods_of_one_draw_share_trees_and_of_another_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted: list[int] = []

    def fit_extra_trees(*arguments: object) -> forests.Forest:
        fitted.append(1)
        return forests.fit_extra_trees(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(methods, "fit_extra_trees", fit_extra_trees)
    data, test, _ = make_cell(FakeShards())
    data.config.evaluation.forest_trees = 20
    alone = {
        name: find_method(name).fit(make_cell(FakeShards())[0])(data.features, test)
        for name in ("handcrafted_trees", "handcrafted_mean")
    }
    del fitted[:]
    for name in ("handcrafted_trees", "handcrafted_mean", "hybrid_mean"):
        scores = find_method(name).fit(data)(data.features, test)
        if name in alone:
            assert scores.shape == alone[name].shape
    assert len(fitted) == 1
    other, _, _ = make_cell(FakeShards(), shots=3)
    other.config.evaluation.forest_trees = 20
    find_method("handcrafted_trees").fit(other)
    assert len(fitted) == 2
