"""Uploads: shards, features and weights of one machine, read from the store by another."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.made_shards import make_shards

from datamodules.features.remote import RemoteFeatureCache
from datamodules.io.store import RemoteFolder, StorageError
from datamodules.shards.index import read_index
from datamodules.shards.layout import INDEX
from datamodules.shards.remote import RemoteShardSet
from experiments import upload_shards
from experiments.artifacts.shards import dataset_directory, open_dataset
from experiments.artifacts.stores import check_order, fetch_stored, local_cache, place_in_store
from experiments.runtime.errors import UserError
from experiments.settings.schema import Config
from experiments.training.data import prepare_data


def elsewhere(config: Config, folder: Path) -> Config:
    """The same settings on a machine that has no data."""
    return dataclasses.replace(config, paths=dataclasses.replace(config.paths, data=str(folder)))


def test_another_machine_reads_what_was_uploaded(
    tiny: Callable[..., Config], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny(f"paths.store=file://{tmp_path / 'store'}")
    (tmp_path / "store").mkdir()
    shards, _, features = prepare_data(dataclasses.replace(config, paths=dataclasses.replace(config.paths, store="")))
    assert features is not None
    upload_shards.run(config)
    assert "files uploaded" in capsys.readouterr().out
    upload_shards.run(config)
    assert "0 of 2 files uploaded, the others were there" in capsys.readouterr().out

    other = elsewhere(config, tmp_path / "other")
    there, _, features_there = prepare_data(other)
    assert isinstance(there, RemoteShardSet)
    assert isinstance(features_there, RemoteFeatureCache)
    windows = np.arange(shards.n_windows)
    np.testing.assert_array_equal(there.imu(windows)[0], shards.imu(windows)[0])
    np.testing.assert_array_equal(features_there.take(windows), features.take(windows))
    check_order("shuffle", there, features_there)
    small = dataclasses.replace(
        other, paths=dataclasses.replace(other.paths, cache_gb=there.index.shards[0].bytes / 1e9)
    )
    held = RemoteShardSet(there.folder, there.index, local_cache(small))
    with pytest.raises(UserError, match=r"pretraining.order=shuffle each batch .* set pretraining.order=shards"):
        check_order("shuffle", held, RemoteFeatureCache(there.folder, local_cache(small), there, features_there._meta))
    assert not dataset_directory(other, "pretraining").exists()
    assert local_cache(other).directory == tmp_path / "other" / "cache"
    assert open_dataset(other, "pretraining").cache is local_cache(other)  # type: ignore[attr-defined]


def test_a_damaged_upload_is_mended(tiny: Callable[..., Config], tmp_path: Path) -> None:
    config = tiny(f"paths.store=file://{tmp_path / 'store'}")
    (tmp_path / "store").mkdir()
    upload_shards.run(config)
    folder = place_in_store(config, dataset_directory(config, "pretraining"))
    assert folder is not None
    (shard,) = (name for name in folder.sizes() if name.endswith(".h5"))
    Path(folder.url.removeprefix("file://"), shard).write_bytes(b"cut short")
    other = elsewhere(config, tmp_path / "other")
    with pytest.raises(StorageError, match=f"{shard}: 9 bytes"):
        open_dataset(other, "pretraining")
    upload_shards.run(config)
    assert open_dataset(other, "pretraining").n_windows


def test_an_interrupted_upload_goes_on_but_never_with_files_of_another_build(
    tiny: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local, store = make_shards(tmp_path / "data" / "shards", [2, 3, 4]), tmp_path / "store" / "shards"
    store.mkdir(parents=True)
    config = elsewhere(tiny(f"paths.store=file://{tmp_path / 'store'}"), tmp_path / "data")
    names = [entry.file for entry in read_index(local).shards]
    upload, done = RemoteFolder.upload, list[str]()
    monkeypatch.setattr(upload_shards, "_UPLOADS", 1)

    def attempt(stop_before: str = "") -> None:
        def watched(self: RemoteFolder, name: str, path: Path) -> None:
            if name == stop_before:
                raise KeyboardInterrupt
            done.append(name)
            upload(self, name, path)

        done.clear()
        monkeypatch.setattr(RemoteFolder, "upload", watched)
        upload_shards._upload(config, local, names, INDEX)

    with pytest.raises(KeyboardInterrupt):
        attempt(stop_before=names[2])
    assert done[-2:] == names[:2]
    attempt()
    assert done == [names[2], INDEX]
    assert sorted(path.name for path in store.iterdir()) == sorted([*names, INDEX])
    # Built anew, with another content of the same length: nothing of the earlier build may stay.
    for name in names:
        content = (local / name).read_bytes()
        (local / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    (local / INDEX).write_text((local / INDEX).read_text().replace('"simulated": true', '"simulated": false'))
    with pytest.raises(KeyboardInterrupt):
        attempt(stop_before=names[1])
    attempt()
    assert done == [*names, INDEX]
    for path in local.iterdir():
        assert (store / path.name).read_bytes() == path.read_bytes()


def test_small_files_are_copied(tiny: Callable[..., Config], tmp_path: Path) -> None:
    (tmp_path / "store" / "weights").mkdir(parents=True)
    (tmp_path / "store" / "weights" / "vit").write_bytes(b"numbers")
    config = elsewhere(tiny(f"paths.store=file://{tmp_path / 'store'}"), tmp_path / "data")
    assert fetch_stored(config, tmp_path / "data" / "weights" / "vit")
    assert (tmp_path / "data" / "weights" / "vit").read_bytes() == b"numbers"
    assert not fetch_stored(config, tmp_path / "data" / "weights" / "other")


def test_settings_that_cannot_be(tiny: Callable[..., Config], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"paths.store is empty"):
        upload_shards.run(tiny())
    with pytest.raises(UserError, match=r"paths.store is 'bucket/prefix'; expected a URL"):
        upload_shards.run(tiny("paths.store=bucket/prefix"))
    with pytest.raises(UserError, match=r"paths.data is s3://bucket; expected a local folder"):
        place_in_store(tiny("paths.data=s3://bucket"), Path("s3://bucket/shards"))
    with pytest.raises(UserError, match=r"paths.cache_gb is 0; expected more than 0"):
        local_cache(tiny("paths.cache_gb=0"))
