"""Shards may come from anywhere: whatever is in a file, it is either read or refused in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from helpers.made_shards import make_shards

from datamodules.shards import layout
from datamodules.shards.layout import ShardError
from datamodules.shards.shard_file import open_shard


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return next(make_shards(tmp_path_factory.mktemp("shards"), [6]).glob("*.h5"))


def test_damaged_structures_are_refused_in_words(shard: Path, tmp_path: Path) -> None:
    content = shard.read_bytes()
    structure = np.ones(len(content), bool)
    for name, place in open_shard(shard).places.items():
        if name in ("imu", "frames"):  # verified by checksums, not looked at here
            structure[place.offset : place.offset + place.nbytes] = False
    places = np.flatnonzero(structure)
    refused: list[str] = []
    damaged = tmp_path / "damaged.h5"
    for seed in range(300):
        rng = np.random.default_rng(seed)
        changed = bytearray(content)
        for at in rng.choice(places, rng.integers(1, 6)).tolist():
            changed[at] = int(rng.choice([0, 255, int(rng.integers(256))]))
        damaged.write_bytes(changed)
        try:
            found = open_shard(damaged)
            for code in layout.CODES:
                found.strings(code)
            found.exclusions()
            found.facts()
        except ShardError as error:
            refused.append(str(error))
    assert len(refused) > 50
    assert all(str(damaged) in text for text in refused)


@pytest.mark.parametrize("value", [7, [7], [], "seven", [[1, 2], [3, 4]]])
def test_an_attribute_of_another_kind_is_refused(shard: Path, tmp_path: Path, value: Any) -> None:
    copy = tmp_path / "copy.h5"
    copy.write_bytes(shard.read_bytes())
    with h5py.File(copy, "r+") as file:
        del file.attrs[layout.COMPLETE]
        file.attrs[layout.COMPLETE] = value
    with pytest.raises(ShardError, match=r"copy\.h5"):
        open_shard(copy)


@pytest.mark.parametrize("name", ["exclusions", "facts"])
def test_a_table_that_is_no_json_is_refused(shard: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "copy.h5"
    copy.write_bytes(shard.read_bytes())
    with h5py.File(copy, "r+") as file:
        file[name][...] = np.frombuffer(b"\xeb" * len(file[name]), np.uint8)
    found = open_shard(copy)
    with pytest.raises(ShardError, match=f"'{name}'"):
        getattr(found, name)()
