from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.evaluation.errors import EvaluationError
from experiments.evaluation.features.feature_table import BLOCK, FeatureTable, in_blocks
from lightning_modules.probe import Standardisation

N, WIDTH = 50, 7
VALUES = np.random.default_rng(0).normal(size=(N, WIDTH)).astype(np.float32)


@given(st.lists(st.integers(0, N - 1), max_size=60), st.lists(st.integers(0, N - 1), unique=True), st.booleans())
def test_rows_are_what_was_put(asked: list[int], put: list[int], in_memory: bool) -> None:
    rows = FeatureTable(N, WIDTH, 1 << 20 if in_memory else 0)
    rows.put(np.array(put, np.int64), VALUES[put])
    expected = np.zeros_like(VALUES)
    expected[put] = VALUES[put]
    found = rows[np.array(asked, np.int64)]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected[asked])


@pytest.mark.parametrize("held", [0, 1 << 30])
def test_blocks_and_standardisation_cover_all(held: int) -> None:
    n = BLOCK + 3
    values = np.random.default_rng(1).normal(5, 2, (n, 2)).astype(np.float32)
    rows = FeatureTable(n, 2, held)
    windows = np.arange(n)
    rows.put(windows, values)
    chosen = windows[windows % 3 > 0]
    assert [len(part) for part in in_blocks(windows)] == [BLOCK, 3]
    np.testing.assert_array_equal(np.concatenate(list(rows.blocks(chosen))), values[chosen])
    found, expected = rows.standardisation(chosen), Standardisation.of(values[chosen])
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-12)  # another order of float64 sums
    np.testing.assert_allclose(found.scale, expected.scale, rtol=1e-12)
    assert rows.standardisation(chosen.copy()) is found
    assert rows.standardisation(windows) is not found


@pytest.mark.parametrize("held", [0, 1 << 30])
@pytest.mark.parametrize("window", [-1, N])
def test_a_window_that_is_not_there_is_refused(window: int, held: int) -> None:
    rows = FeatureTable(N, WIDTH, held)
    with pytest.raises(IndexError, match=f"of {N}"):
        rows[np.array([0, window])]
    with pytest.raises(IndexError, match=f"of {N}"):
        rows.put(np.array([window]), VALUES[:1])


def test_a_mask_is_refused() -> None:
    with pytest.raises(TypeError, match="bool"):
        FeatureTable(N, WIDTH)[np.ones(N, bool)]
    with pytest.raises(TypeError, match=r"int64 \(\)"):
        FeatureTable(N, WIDTH)[3]  # type: ignore[index]


def test_threads_read_while_others_read() -> None:
    rows = FeatureTable(N, WIDTH, 0)
    rows.put(np.arange(N), VALUES)
    wrong = []

    def read(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(200):
            windows = rng.integers(0, N, 20)
            if not np.array_equal(rows[windows], VALUES[windows]):
                wrong.append(windows)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_killed_process_leaves_no_file(tmp_path: Path) -> None:
    script = (
        "import os, signal, numpy as np\n"
        "from experiments.evaluation.features.feature_table import FeatureTable\n"
        "rows = FeatureTable(1000, 100, 0)\n"
        "rows.put(np.arange(1000), np.ones((1000, 100), np.float32))\n"
        "print(os.readlink(f'/proc/self/fd/{rows._file.fileno()}'), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        check=False,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert result.returncode == -signal.SIGKILL
    assert result.stdout.startswith(str(tmp_path))  # it was there
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("held", [0, 1 << 30])
@pytest.mark.parametrize("shape", [(4, 3), (2, WIDTH), (1, WIDTH), (4,)])
def test_features_of_another_shape_are_refused(shape: tuple[int, ...], held: int) -> None:
    rows = FeatureTable(N, WIDTH, held)
    with pytest.raises(ValueError, match=r"expected \(4, 7\)"):
        rows.put(np.arange(4), np.ones(shape, np.float32))


def test_a_full_disk_is_said_in_words(tmp_path: Path) -> None:
    script = (
        "import resource, signal, numpy as np\n"
        "from experiments.evaluation.features.feature_table import FeatureTable\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "FeatureTable(1000, 1000, 0)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        check=False,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert "no room for 3 MB of features of an evaluation; set TMPDIR to a folder" in result.stderr
    assert str(tmp_path) in result.stderr


@pytest.mark.parametrize("held", [1 << 20, 0])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite_are_refused(value: float, held: int) -> None:
    """As of an encoder whose weights are: a probe that was fitted on them would end in an error of a library."""
    table = FeatureTable(10, 3, held)
    features = np.zeros((4, 3), np.float32)
    features[2, 1] = value
    with pytest.raises(EvaluationError, match=r"features of 1 of 4 windows are not finite, first of window 7"):
        table.put(np.array([5, 6, 7, 8]), features)
    assert not table[np.arange(10)].any()
