"""Put an experiment's shards, features and video encoder into a store.

``python -m experiments.upload_shards CONFIG paths.store=s3://bucket/prefix``: everything is made in ``paths.data``
first, and copied to the same path in the store. What is there already is kept, so an interrupted upload goes on.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.runtime.command_line import EXIT_OK, guarded, parse
from experiments.runtime.errors import UserError

if TYPE_CHECKING:
    from datamodules.io.store import RemoteFolder
    from experiments.settings.schema import Config


_COMMAND = "experiments.upload_shards"
_UPLOADS = 4  # at a time
_BEGUN = ".begun"  # a copy of the file that comes last; it says whose the files are that an interrupted upload left


def run(config: Config) -> None:
    """Upload every data set, with the features that belong to it.

    Raises:
        UserError: no store is set, or the experiment has no data sets.
        StorageError: the store can't be written.
    """
    from datamodules.features.meta import META, POOLED, RAW
    from datamodules.shards import layout
    from datamodules.shards.index import read_index
    from experiments.artifacts.shards import build_dataset, dataset_directory
    from experiments.reports.build import write_if_stale

    if not config.paths.store:
        raise UserError("paths.store is empty; expected where to, e.g. paths.store=s3://bucket/prefix")
    if not config.datasets:
        raise UserError(f"experiment '{config.experiment}' has no 'datasets'")
    data = Path(config.paths.data)
    for key in config.datasets:
        directory = dataset_directory(config, key)
        _target(config, directory)  # a store that can't be used is told before shards are built
        if not (directory / layout.INDEX).is_file():
            build_dataset(config, key)
            write_if_stale(directory)
        index = read_index(directory)
        _upload(config, directory, [entry.file for entry in index.shards], layout.INDEX)
        for meta in sorted((data / "features" / config.experiment).glob(f"{key}-*/{META}")):
            try:
                content = json.loads(meta.read_bytes())
            except (ValueError, RecursionError) as error:  # neither UTF-8 nor JSON
                raise UserError(f"{meta}: damaged: not JSON; delete its folder ({error})") from error
            if isinstance(content, dict) and content.get("shards") == index.fingerprint:
                _upload(config, meta.parent, [RAW, POOLED] if "pooled" in content else [RAW], META)
    for weights in sorted((data / "weights" / config.experiment).glob("*.safetensors")):
        _upload(config, weights.parent, [], weights.name)


def _target(config: Config, local: Path) -> RemoteFolder:
    from experiments.artifacts.stores import place_in_store

    folder = place_in_store(config, local)
    assert folder is not None
    return folder


def _upload(config: Config, local: Path, names: Sequence[str], last: str) -> None:
    """Copy files that are not there yet; ``last``, which says that the others are whole, after them."""
    from concurrent.futures import ThreadPoolExecutor

    from datamodules.io.store import StorageError

    folder = _target(config, local)
    there = folder.sizes()
    sizes = {name: (local / name).stat().st_size for name in [*names, last]}
    # Files of the same name and length may still be those of an older build.
    same = _holds(folder, there, last, local / last)
    begun = f"{last}{_BEGUN}"
    ours = same or _holds(folder, there, begun, local / last)
    if not ours:
        if begun in there:
            folder.remove(begun)
        if names and not there.keys() & set(names):  # whatever lies there from now on is of this upload
            folder.upload(begun, local / last)
    missing = [name for name in names if not ours or there.get(name) != sizes[name]]
    with ThreadPoolExecutor(_UPLOADS, thread_name_prefix="upload") as pool:
        list(pool.map(lambda name: folder.upload(name, local / name), missing))
    if missing or not same:
        folder.upload(last, local / last)
    there = folder.sizes()
    if begun in there:
        folder.remove(begun)
    for name, size in sizes.items():
        if there.get(name) != size:
            raise StorageError(f"{folder}/{name}: {there.get(name, 0)} bytes after uploading {size}; upload it again")
    done = len(missing) + (not same)
    print(f"{folder}: {done} of {len(sizes)} files uploaded" + (", the others were there" if done < len(sizes) else ""))


def _holds(folder: RemoteFolder, there: Mapping[str, int], name: str, local: Path) -> bool:
    return name in there and folder.read(name) == local.read_bytes()


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    config = parse(argv, _COMMAND, "Copy an experiment's shards, features and video encoder to paths.store.")

    def work() -> int:
        run(config)
        return EXIT_OK

    return guarded(work, _COMMAND)


if __name__ == "__main__":
    sys.exit(main())
