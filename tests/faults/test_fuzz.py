"""Mutated files and bytes by chance: an answer, or an error of the project's; what once failed is tried each time."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.fuzz.mutate import mutated, smaller
from helpers.fuzz.parsers import parsers
from helpers.fuzz.run import CORPUS, Bench, prepare_process
from hypothesis import given, settings
from hypothesis import strategies as st

KEPT = sorted(path for path in CORPUS.glob("*/*") if path.is_file())
NAMES = sorted(parsers())
QUICK = [name for name in NAMES if parsers()[name].weight >= 1]
BenchOf = Callable[[str], Bench]


@pytest.fixture(scope="module")
def bench_of(tmp_path_factory: pytest.TempPathFactory) -> BenchOf:
    """A function from a parser's name to its bench, made when first asked for."""
    made: dict[str, Bench] = {}

    def bench(name: str) -> Bench:
        if name not in made:
            made[name] = Bench.of(parsers()[name], tmp_path_factory.mktemp(name) / "bench")
        return made[name]

    prepare_process(memory=0)  # a limit of memory would bind the other tests of this process, too
    return bench


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_once_failed_is_read_or_refused_in_words(path: Path, bench_of: BenchOf) -> None:
    assert bench_of(path.parent.name).failure(path.read_bytes()) == ""


def test_the_corpus_is_small() -> None:
    assert all(path.stat().st_size <= 16 << 10 for path in KEPT)
    assert {path.parent.name for path in KEPT} <= set(NAMES)


@given(name=st.sampled_from(QUICK), seed=st.integers(0, 2**32))
@settings(max_examples=300)
def test_mutated_files(bench_of: BenchOf, name: str, seed: int) -> None:
    bench = bench_of(name)
    assert bench.failure(mutated(random.Random(seed), bench.seeds)) == ""


@pytest.mark.slow
@given(name=st.sampled_from(NAMES), seed=st.integers(0, 2**32))
@settings(max_examples=4000)
def test_many_mutated_files(bench_of: BenchOf, name: str, seed: int) -> None:
    bench = bench_of(name)
    assert bench.failure(mutated(random.Random(seed), bench.seeds)) == ""


@pytest.mark.slow
@given(name=st.sampled_from(NAMES), content=st.binary(max_size=400))
@settings(max_examples=1500)
def test_bytes_by_chance(bench_of: BenchOf, name: str, content: bytes) -> None:
    assert bench_of(name).failure(content) == ""


def test_a_failure_is_seen_and_made_small(tmp_path: Path) -> None:
    """The fuzzer itself: an error that is none of the project's is a failure, with the place where it came from."""
    parser = parsers()["text_table"]

    def broken(path: Path) -> object:
        return 1 // (b"7" not in path.read_bytes())

    bench = Bench(parser.__class__("broken", "a.txt", lambda _: [], broken, 1.0), tmp_path)
    found = bench.failure(b"12345678")
    assert found.startswith("ZeroDivisionError")
    assert smaller(b"1234567890" * 9, lambda content: bool(bench.failure(content))) == b"7"
    assert bench.failure(b"1") == ""
