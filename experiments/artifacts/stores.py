"""The store of shards, features and weights, which is searched after ``paths.data``, under the same path."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from core.durable import write_atomically
from datamodules.features.cache import FeatureCache
from datamodules.features.mixed import MixedFeatures
from datamodules.features.remote import RemoteFeatureCache
from datamodules.io.local_cache import GB, LocalCache
from datamodules.io.store import RemoteFolder, is_url
from datamodules.shards.mixed import MixedShards
from datamodules.shards.reader import ShardSet
from datamodules.shards.remote import RemoteShardSet
from experiments.runtime.errors import UserError
from experiments.settings.schema import Config


def local_cache(config: Config) -> LocalCache:
    """Open the cache of files that are read from the store; shards and features share its folder and limit."""
    directory = Path(config.paths.cache) if config.paths.cache else Path(config.paths.data) / "cache"
    if config.paths.cache_gb <= 0:
        raise UserError(f"paths.cache_gb is {config.paths.cache_gb:g}; expected more than 0")
    return _cache(directory, int(config.paths.cache_gb * GB))


@cache
def _cache(directory: Path, limit: int) -> LocalCache:
    return LocalCache(directory, limit)


def place_in_store(config: Config, local: Path) -> RemoteFolder | None:
    """Name the folder of the store for a folder below ``paths.data``; None if no store is set.

    Raises:
        UserError: ``paths.store`` is no URL, or ``paths.data`` is one.
        StorageError: the store's driver isn't installed.
    """
    if is_url(config.paths.data):
        raise UserError(
            f"paths.data is {config.paths.data}; expected a local folder, because files are made there; name the"
            " store in paths.store"
        )
    if not config.paths.store:
        return None
    if not is_url(config.paths.store):
        raise UserError(f"paths.store is '{config.paths.store}'; expected a URL, e.g. s3://bucket/prefix")
    root = RemoteFolder(config.paths.store)
    return root.folder(local.relative_to(config.paths.data).as_posix())


def stored(config: Config, local: Path, last: str) -> RemoteFolder | None:
    """Find a whole folder of the store; None without a store, or if ``last``, its file written last, is missing.

    Raises:
        StorageError: the store can't be read.
    """
    folder = place_in_store(config, local)
    return folder if folder is not None and folder.has(last) else None


def fetch_stored(config: Config, path: Path) -> bool:
    """Copy a small file from the store to its place below ``paths.data``; False if the store lacks it.

    Raises:
        StorageError: the store can't be read.
    """
    folder = stored(config, path.parent, path.name)
    if folder is None:
        return False
    content = folder.read(path.name)
    path.parent.mkdir(parents=True, exist_ok=True)

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)

    write_atomically(path, write)
    return True


def check_order(order: str, shards: ShardSet | MixedShards, features: FeatureCache | MixedFeatures | None) -> None:
    """Refuse an order of windows that would fetch most of the store for every batch.

    Raises:
        UserError: files of the store don't fit into the cache, and the order isn't made for that.
    """
    needed, limit = 0, 0
    for part in [part for _, part in shards.parts] if isinstance(shards, MixedShards) else [shards]:
        if isinstance(part, RemoteShardSet):
            needed, limit = needed + sum(entry.bytes for entry in part.index.shards), part.cache.limit
    for cached in features.parts if isinstance(features, MixedFeatures) else [features]:
        if isinstance(cached, RemoteFeatureCache):
            needed, limit = needed + cached.nbytes, cached.cache.limit
    if needed > limit and order != "shards":
        raise UserError(
            f"{shards.directory}: shards and features are {needed / GB:.3g} GB, but the cache may hold only"
            f" {limit / GB:.3g} GB: with pretraining.order={order} each batch would fetch most of the shards again; set"
            " pretraining.order=shards, or raise paths.cache_gb"
        )
