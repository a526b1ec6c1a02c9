"""Readings of each of the fuzzing's parsers, and what must hold of their answers."""

from __future__ import annotations

import dataclasses
import io
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np

from datamodules.sources.manifest.spec import ImuSpec, LabelsSpec
from datamodules.sources.manifest.stamps.text_times import TimeText


def text_table(path: Path) -> object:
    from datamodules.formats.text_table import parse_integers, parse_numbers, split_lines

    lines = split_lines(path.read_bytes(), path)
    split = (lambda line: line.split(",")) if "," in lines[0].text else str.split
    if "." in lines[0].text:
        return parse_numbers(path, lines, 3, split)
    return parse_integers(path, lines, 3, split)


def boxes(path: Path) -> object:
    from datamodules.formats.mp4.boxes import boxes, is_mp4

    content = path.read_bytes()
    file = io.BytesIO(content)
    return is_mp4(file), list(boxes(file, 0, len(content), path))


def movie(path: Path) -> object:
    from datamodules.formats.mp4.movie import read_movie, video_duration
    from datamodules.formats.mp4.samples import check_counts, end_to_reach, read_samples

    movie = read_movie(path)
    if movie is None:
        return None
    check_counts(path, movie)
    found = [(read_samples(path, track), end_to_reach(path, track)) for track in movie.tracks]
    assert all(samples.keys.size <= samples.sizes.size for samples, _ in found)
    return video_duration(path)


def matlab(path: Path) -> object:
    from datamodules.formats.matlab import numbers, read_mat

    content = read_mat(path)
    found = numbers(path, content, "x", 3)
    assert found.shape[1] == 3
    return found


def bvh(path: Path) -> object:
    from datamodules.formats.bvh import read_bvh

    return read_bvh(path)


def vrs(path: Path) -> object:
    from datamodules.formats.vrs import VrsFile

    file = VrsFile(path)
    found = file.records({(1202, 1), (1201, 1)})
    return [file.record(int(offset)) for records in found.values() for offset in records.offsets[:3]]


def zip_archive(path: Path) -> object:
    from datamodules.formats.zip_archive import members

    return [member.read() for member in members(path)]


def tsdf_read(path: Path) -> object:
    from datamodules.formats.tsdf import companions, read_metadata

    companions(path)
    return [file.read(0, min(file.rows, 4)) for file in read_metadata(path)]


def stamps(path: Path) -> object:
    lines = path.read_bytes().decode("utf-8", "replace").split("\n")
    unit, zone = ("iso8601", "Europe/Berlin") if "-" in lines[0] else ("h:m:s", "")
    return TimeText(unit, zone=zone).read([line or None for line in lines])


def motion(path: Path, spec: ImuSpec) -> object:
    from datamodules.sources.manifest.motion import read_motion

    motion = read_motion(path, spec)
    assert np.isfinite(motion.times).all()
    return motion


def labels(path: Path) -> object:
    from datamodules.sources.manifest.labels import read_intervals

    intervals = read_intervals(path, LabelsSpec(files="x", unit="s"))
    assert all(one.end > one.start and one.activity for one in intervals)
    return intervals


def manifest(path: Path) -> object:
    from datamodules.sources.manifest import Manifest, ManifestParams

    source = Manifest(ManifestParams(str(path)))
    names = source.names()
    source.fingerprint()
    return [source.load(name) for name in names[:2]]


def config(path: Path) -> object:
    from experiments.settings.load import load

    return load(str(path))


def saved_config(path: Path) -> object:
    from experiments.settings.load import load_saved

    return load_saved(path)


def safetensors(path: Path) -> object:
    from torch import nn

    from encoders.weights import load_weights

    return load_weights(nn.Linear(2, 3), path)


def index(path: Path) -> object:
    from datamodules.shards.index import read_index

    index = read_index(path.parent)
    return index.n_windows, index.fingerprint


def features(path: Path) -> object:
    from datamodules.features.cache import FeatureCache

    cache = FeatureCache.open(path.parent, cast(Any, _Clips()), "abc")
    return cache.shape, cache.view_settings, cache.take(np.arange(2)), cache.verify()


class _Clips:
    n_windows = 4
    fingerprint = "shards"


def cells(path: Path) -> object:
    from experiments.evaluation.cell_store import CellStore

    return len(CellStore(path))


def checkpoint(path: Path) -> object:
    from lightning_modules.checkpoint import read_checkpoint

    return read_checkpoint(path, needs=("state_dict",))


def head(path: Path) -> object:
    from experiments.inference.head import load_head

    return load_head(path.parent)


def shard(path: Path) -> object:
    """All that an evaluation reads of a shard, with its checksums."""
    from datamodules.shards.index import read_index
    from datamodules.shards.reader import ShardSet

    index = read_index(path.parent)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".h5") as copy:  # the file itself is written anew: no map
        copy.write(path.read_bytes())
        copy.flush()
        entry = dataclasses.replace(index.shards[0], file=Path(copy.name).name)
        shards = ShardSet(path.parent, dataclasses.replace(index, shards=(entry,)), threads=1)
        windows = np.arange(shards.n_windows)
        return shards.table, shards.facts(), shards.imu(windows), shards.frames(windows), shards.skip_damaged()


def within(path: Path, name: str, read: Callable[[Path], object]) -> object:
    """What is read of an archive one of whose parts is the file at ``path``, so that all checksums are right.

    Args:
        path: the part, named as the end of its name in the archive.
        name: of the valid archive beside it.
        read: of the archive's path.
    """
    other = path.parent / f"other-{name}"
    with zipfile.ZipFile(path.parent / name) as old, zipfile.ZipFile(other, "w") as new:
        for entry in old.infolist():
            new.writestr(entry.filename, path.read_bytes() if entry.filename.endswith(path.name) else old.read(entry))
    return read(other)


def telemetry(path: Path) -> object:
    from datamodules.sources.action_camera import read_imu

    return read_imu(path, "head")


def published(path: Path, name: str) -> object:
    from helpers.published_sets import load

    return load(path.parent / "set", name)


def encoder(path: Path) -> object:
    from experiments.inference.encoder_files import read_encoder

    return read_encoder(path.parent)
