"""Copies of shards without their frames: the same windows in the same order, for caches of features to stand in."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from core.digest import file_digest
from datamodules.build.parts import read_exclusions, read_windows
from datamodules.shards.index import ShardEntry
from datamodules.shards.reader import ShardSet
from datamodules.shards.writer import EncodedWindow, ShardHeader, write_shard


def copy_without_frames(shards: ShardSet, into: Path) -> ShardSet:
    """Copy local shards without a byte of their frames; motion, masks, times, labels and facts stay.

    The copy has the fingerprint of the original, so that features and weights that were computed from its frames fit.

    Args:
        shards: shards in local files.
        into: folder of the copy; what is there of an earlier copy is replaced.

    Returns:
        The copy.

    Raises:
        ShardError: a shard is damaged.
    """
    into.mkdir(parents=True, exist_ok=True)
    entries = []
    for entry in shards.index.shards:
        shard = shards.open_file(entry)
        attributes = shard.attributes
        header = ShardHeader(
            shards.settings,
            str(attributes["source"]),
            bool(attributes["simulated"]),
            str(attributes["build_hash"]),
            int(attributes["group"]),
            int(attributes["part"]),
            bool(attributes["last_part"]),
            frames_stored=False,
        )
        windows = [EncodedWindow(each.window, (b"",) * len(each.jpegs)) for each in read_windows(shard)]
        path = into / entry.file
        write_shard(path, header, windows, read_exclusions(shard), shard.facts())
        entries.append(ShardEntry(path.name, len(windows), path.stat().st_size, file_digest(path)))
    index = dataclasses.replace(shards.index, shards=tuple(entries), frames_of=shards.fingerprint)
    index.write(into)
    return ShardSet.open(into)
