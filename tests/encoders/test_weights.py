"""Weights from hostile files: absurd headers, counts and names are refused in a sentence, in little memory."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import struct
from pathlib import Path

import pytest
import torch
from torch import nn

from encoders.weights import WeightsError, load_weights, read_safetensors


def stored(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(shape: list[int], end: int) -> dict[str, object]:
    return {"weight": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}}


TWO = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
HOSTILE = {
    "a header of exabytes": struct.pack("<Q", 1 << 60) + b"{}",
    "a header of 99 MB that is not there": struct.pack("<Q", 99_000_000) + b"{}",
    "a shape of exabytes": stored(entry([1 << 31, 1 << 31], 8), bytes(8)),
    "a shape that overflows to 0": stored(entry([1 << 32, 1 << 32], 0)),
    "data beyond the end": stored(entry([2], 1 << 40), bytes(8)),
    "a negative side": stored(entry([-2], 8), bytes(8)),
    "depth": stored(b"[" * 200_000),
    "many names of one place": stored(
        {f"w{i}": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for i in range(9)}
    ),
    "a name of a megabyte": stored({"x" * (1 << 20): TWO}, bytes(8)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_a_short_sentence(tmp_path: Path, name: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(HOSTILE[name])
    encoder = nn.Linear(2, 1, bias=False)
    before = encoder.weight.clone()
    with pytest.raises(WeightsError, match=r"model\.safetensors") as caught:
        load_weights(encoder, path)
    assert len(str(caught.value)) < 600
    torch.testing.assert_close(encoder.weight, before, rtol=0, atol=0)


@pytest.mark.parametrize("spare", [0, 1])
def test_a_lack_of_descriptors_is_no_damage(tmp_path: Path, spare: int) -> None:
    """With one descriptor the file opens, but not a second time, as torch's part of safetensors needs."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(stored({"weight": {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]}}, bytes(8)))
    load_weights(nn.Linear(2, 1, bias=False), path)  # imports what it needs
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = [os.open(os.devnull, os.O_RDONLY)]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, limit[1]))
        with contextlib.suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(spare):
            os.close(held.pop())
        with pytest.raises(OSError, match="Too many open files") as caught:
            read_safetensors(path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        for descriptor in held:
            os.close(descriptor)
    assert caught.value.errno == errno.EMFILE
