"""Random numbers of windows: the distributions that they promise, and independence of everything but the key."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from datamodules.augment.draws import Draws, window_keys


def draws(windows: int, seed: int = 0, epoch: int = 0, view: int = 0) -> Draws:
    return Draws(window_keys(seed, epoch, np.arange(windows)), view)


@settings(deadline=None)
@given(
    windows=st.lists(st.integers(0, 2**40), min_size=1, max_size=20),
    rows=st.data(),
    seed=st.integers(0, 2**32),
    epoch=st.integers(0, 1000),
)
def test_numbers_depend_on_the_window_not_on_the_batch(
    windows: list[int], rows: st.DataObject, seed: int, epoch: int
) -> None:
    every = np.array(windows)
    some = rows.draw(st.lists(st.integers(0, len(every) - 1), min_size=1, max_size=5))
    whole, part = Draws(window_keys(seed, epoch, every)), Draws(window_keys(seed, epoch, every[some]))
    for _ in range(2):
        assert torch.equal(whole.uniform(3, 2)[some], part.uniform(3, 2))
        # The cosine's last bit may depend on where in a vector register a number lies.
        torch.testing.assert_close(whole.normal(5)[some], part.normal(5), rtol=1e-6, atol=1e-7)


def test_a_draw_is_the_published_hash() -> None:
    """Against SplitMix64's finaliser in Python's integers."""

    def mix(value: int) -> int:
        value &= 2**64 - 1
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
        return value ^ (value >> 31)

    golden = 0x9E3779B97F4A7C15
    key = 123456789
    own = mix(key + 0xBF58476D1CE4E5B9)
    second = [mix(mix(own + 2 * golden) ^ mix(place * golden)) >> 40 for place in (1, 2, 3)]
    found = Draws(torch.tensor([key]))
    found.uniform(7)
    assert (found.uniform(3)[0] * 2**24).tolist() == second


def test_distributions() -> None:
    found = draws(2000)
    uniform, normal = found.uniform(50), found.normal(51)
    assert uniform.shape == (2000, 50)
    assert normal.shape == (2000, 51)
    assert 0 <= uniform.min() <= uniform.max() < 1
    assert torch.isfinite(normal).all()
    # 100,000 numbers each, fixed by their keys: a p-value this small would say that they are not what they claim.
    assert stats.kstest(uniform.flatten().numpy(), "uniform").pvalue > 1e-3
    assert stats.kstest(normal.flatten().numpy(), "norm").pvalue > 1e-3
    assert normal.abs().max() > 4  # the tails are there: 6 of 100,000 are expected beyond 4


@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_windows_epochs_views_calls_and_places_are_independent(kind: str) -> None:
    def drawn(**key: int) -> np.ndarray:
        return getattr(draws(1000, **key), kind)(20).numpy()

    first = drawn()
    twice = draws(1000)
    getattr(twice, kind)(20)
    others = {
        "epoch": drawn(epoch=1),
        "view": drawn(view=1),
        "seed": drawn(seed=1),
        "call": getattr(twice, kind)(20).numpy(),
        "neighbouring window": np.roll(first, 1, axis=0),
        "neighbouring place": np.roll(first, 1, axis=1),
    }
    for name, other in others.items():
        # 20,000 pairs: a correlation's standard deviation is 0.007.
        assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.035, name


def test_single_numbers_and_no_windows() -> None:
    assert draws(4).uniform().shape == draws(4).normal().shape == (4,)
    assert draws(0).normal(5, 2).shape == (0, 5, 2)
    assert len(draws(3)) == 3


def test_keys_are_all_different() -> None:
    keys = np.concatenate([window_keys(s, e, np.arange(20_000)).numpy() for s in range(3) for e in range(3)])
    assert len(np.unique(keys)) == len(keys)
