from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.made_shards import make_shards

from core.digest import file_digest
from datamodules.shards import layout
from datamodules.shards.shard_file import open_shard
from datamodules.shards.verify import verify


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return make_shards(tmp_path, [3, 2])


def reindex(directory: Path) -> None:
    """Make the index agree with changed files, so that only their content can give the change away."""
    index = directory / layout.INDEX
    text = index.read_text()
    from datamodules.shards.index import read_index

    for entry in read_index(directory).shards:
        path = directory / entry.file
        text = text.replace(entry.sha256, file_digest(path))
        text = text.replace(f'"bytes": {entry.bytes}', f'"bytes": {path.stat().st_size}')
    index.write_text(text)
    content = json.loads(text)
    del content["digest"]  # as earlier versions wrote it
    index.write_text(json.dumps(content))


def test_whole_shards_have_no_problem(directory: Path) -> None:
    assert verify(directory) == []


def test_a_flipped_byte_anywhere_is_found(directory: Path) -> None:
    path = directory / layout.shard_name(1, 0)
    data = path.read_bytes()
    positions = np.random.default_rng(0).integers(0, len(data), 40).tolist()
    places = open_shard(path).places
    positions += [place.offset + place.shape[0] // 2 for place in places.values() if 0 not in place.shape]
    for position in positions:
        changed = bytearray(data)
        changed[position] ^= 0x10
        path.write_bytes(changed)
        problems = verify(directory)
        assert problems, position
        assert all(p.file == str(path) for p in problems)
    path.write_bytes(data)
    assert verify(directory) == []


@pytest.mark.parametrize("name", ["imu", "sample_mask", "channel_mask", "frame_times", "frame_mask", "frames"])
def test_a_windows_own_checksum_names_the_window(directory: Path, name: str) -> None:
    path = directory / layout.shard_name(0, 0)
    shard = open_shard(path)
    array = np.array(shard.array(name))
    row = array.nbytes // 3
    with path.open("r+b") as file:
        position = shard.places[name].offset + row + row // 2
        if name == "frames":
            # Inside the second window's picture, past the header of the JPEG.
            position = shard.places[name].offset + int(shard.array("frame_offsets")[6]) - 40
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 1]))
    reindex(directory)
    problems = [p for p in verify(directory) if "checksum" in p.what]
    assert [(p.file, p.window) for p in problems] == [(str(path), 1)]
    assert f"{path.name}: window 1: checksum" in str(problems[0])


def test_values_that_make_no_sense_are_named(directory: Path) -> None:
    path = directory / layout.shard_name(0, 0)
    with h5py.File(path, "r+") as file:
        imu, times, codes = file["imu"], file["frame_times"], file["subject"]
        imu[2, 5, 1] = np.nan
        times[1] = times[1][::-1]
        codes[0] = 17
    reindex(directory)
    texts = [(p.window, p.what) for p in verify(directory)]
    assert any(w == 2 and "not finite" in t for w, t in texts)
    assert any(w == 1 and "do not ascend" in t for w, t in texts)
    assert any(w == 0 and "code 17 of 'subject'" in t for w, t in texts)


def test_offsets_that_do_not_fit_are_named(directory: Path) -> None:
    path = directory / layout.shard_name(0, 0)
    with h5py.File(path, "r+") as file:
        file["frame_offsets"][4] = -5
    reindex(directory)
    assert any("offsets" in p.what for p in verify(directory))


def test_missing_truncated_and_foreign_files_are_named(directory: Path) -> None:
    first, second = (directory / layout.shard_name(i, 0) for i in range(2))
    second.write_bytes(second.read_bytes()[:2000])
    first.rename(directory / layout.shard_name(7, 0))
    problems = {(p.file.rsplit("/", 1)[-1], p.what) for p in verify(directory)}
    assert (layout.shard_name(7, 0), "not listed in index.json") in problems
    assert (first.name, "not there, but listed in index.json") in problems
    assert any(name == second.name and what.startswith("2000 bytes; expected") for name, what in problems)
    (directory / layout.INDEX).unlink()
    (problem,) = verify(directory)
    assert problem.file.endswith("index.json")
