"""Equality to the letter: contents of files that were read, and weights of checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor


def same(a: Any, b: Any) -> bool:
    """Whether two contents agree in every type, name, shape and value."""
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def weights_of(checkpoint: Path) -> dict[str, Tensor]:
    """All tensors of a checkpoint's modules, by name."""
    return {name: value for name, value in _state_of(checkpoint).items() if isinstance(value, Tensor)}


def assert_same_weights(found: Path, expected: Path) -> None:
    """Compare the names in two checkpoints, and their weights bit by bit."""
    assert _state_of(found).keys() == _state_of(expected).keys()
    a, b = weights_of(found), weights_of(expected)
    for name in a:
        assert torch.equal(a[name], b[name]), name


def _state_of(checkpoint: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(checkpoint, weights_only=True)["state_dict"]
    return state
