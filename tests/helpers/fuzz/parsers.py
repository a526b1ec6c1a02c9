"""The parsers of files from outside, each with small valid files."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import yaml
from scipy.io import savemat

from core.errors import MendableError
from datamodules.sources.manifest.spec import AccelerationSpec, CsvSpec, ImuSpec, LabelsSpec, SensorSpec, TimeSpec
from datamodules.sources.manifest.stamps.text_times import TimeText, TimeTextError

_ROWS = "\n".join(["t,x,y,z", *(f"{i / 50:.2f},0.{i},{i}.5,-9.81" for i in range(12))]) + "\n"
_SPEC = ImuSpec("x", {"wrist": SensorSpec(AccelerationSpec([2, 3, 4], "m/s^2"))}, TimeSpec(1, "s"), csv=CsvSpec())


@dataclass(frozen=True)
class Parser:
    """One parser.

    Attributes:
        name: of the parser, and of its folder in the corpus.
        file: name of the file that it reads, in a folder of its own.
        seeds: writes what else it needs into that folder, and returns valid contents of the file.
        read: of the path. What it returns is an answer; all else is an error.
        weight: how much of the inputs it gets: the quick ones most.
        errors: what it may raise.
    """

    name: str
    file: str
    seeds: Callable[[Path], list[bytes]]
    read: Callable[[Path], object]
    weight: float
    errors: tuple[type[Exception], ...] = (MendableError,)


def parsers() -> Mapping[str, Parser]:
    """All of them, by name."""
    spec_iso = replace(_SPEC, time=TimeSpec(1, "iso8601"))
    every = (
        Parser("text_table", "a.txt", lambda _: [b"1 2 3\n4 5 6\n", b"0.5, -1e3, 2\n1, 2, 3\n"], _text_table, 30),
        Parser("mp4_boxes", "a.mp4", _movies, _boxes, 20),
        Parser("mp4_movie", "a.mp4", _movies, _movie, 12),
        Parser("matlab", "a.mat", _mats, _matlab, 15),
        Parser("bvh", "a.bvh", lambda _: [_BVH.encode()], _bvh, 12),
        Parser("vrs", "a.vrs", _vrs_files, _vrs, 8),
        Parser("zip", "a.zip", _zips, _zip, 6),
        Parser("tsdf", "IMU_meta.json", _tsdf, _tsdf_read, 8),
        Parser("stamps", "a.txt", _stamp_texts, _stamps, 4, (MendableError, TimeTextError)),
        Parser("csv", "a.csv", lambda _: [_ROWS.encode()], lambda path: _motion(path, _SPEC), 1.5),
        Parser("csv_dates", "a.csv", lambda _: [_dated().encode()], lambda path: _motion(path, spec_iso), 0.6),
        Parser("parquet", "a.parquet", _parquet, lambda path: _motion(path, _SPEC), 1),
        Parser("npy", "a.npy", _npy, lambda path: _motion(path, _SPEC), 1.5),
        Parser("xlsx", "a.xlsx", _xlsx, lambda path: _motion(path, _SPEC), 0.1),
        Parser("labels", "l.csv", lambda _: [b"start,end,activity\n0,1,walk\n1,2.5,sit\n"], _labels, 1.5),
        Parser("manifest", "m.yaml", _manifests, _manifest, 0.4),
        Parser("config", "c.yaml", lambda _: [_CONFIG], _config, 0.15),
        Parser("saved_config", "config.yaml", _saved_configs, _saved_config, 0.03),
        Parser("safetensors", "w.safetensors", _tensors, _safetensors, 8),
        Parser("index", "index.json", _indices, _index, 12),
        Parser("features", "features.json", _features_files, _features, 3),
        Parser("cells", "cells.jsonl", _cells_files, _cells, 8),
        Parser("checkpoint", "last.ckpt", _checkpoints, _checkpoint, 1),
        Parser("head", "head.json", _heads, _head, 1),
        Parser("telemetry", "a.mp4", _telemetry_files, _telemetry, 0.5),
    )
    return {parser.name: parser for parser in every}


_BVH = """HIERARCHY
ROOT Hips
{
 OFFSET 0 0 0
 CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
 JOINT Chest
 {
  OFFSET 0 5.2 0
  CHANNELS 3 Zrotation Xrotation Yrotation
  End Site
  {
   OFFSET 0 3 0
  }
 }
}
MOTION
Frames: 2
Frame Time: 0.033
1 2 3 4 5 6 7 8 9
1 2 3 4 5 6 7 8 9.5
"""
_CONFIG = b"""datasets:
  pretraining: {source: {name: simulator, params: {subjects: 2}}, placement: head, camera: head}
window: {duration_s: 4.0, frames: 2}
imu_encoder: {name: cnn_transformer, params: {width: 8}}
trainer: {max_epochs: 3, kwargs: {deterministic: true}}
evaluation:
  targets: [{name: people, dataset: pretraining}]
  shots: [1, 5]
"""
_MANIFEST: dict[str, Any] = {
    "name": "fuzzed",
    "groups": {
        "a": {
            "subject": "{subject}",
            "imu": [
                {
                    "files": "imu/{subject}.csv",
                    "time": {"column": "t", "unit": "s"},
                    "csv": {"separator": ",", "null": ["", "x"]},
                    "sensors": {"wrist": {"acceleration": {"columns": ["x", "y", "z"], "unit": "m/s^2"}}},
                }
            ],
            "labels": {"files": "imu/{subject}.txt", "names": {"1": "walk"}, "clock": "imu"},
        }
    },
}


def _text_table(path: Path) -> object:
    from datamodules.formats.text_table import parse_integers, parse_numbers, split_lines

    lines = split_lines(path.read_bytes(), path)
    split = (lambda line: line.split(",")) if "," in lines[0].text else str.split
    if "." in lines[0].text:
        return parse_numbers(path, lines, 3, split)
    return parse_integers(path, lines, 3, split)


def _boxes(path: Path) -> object:
    from datamodules.formats.mp4.boxes import boxes, is_mp4

    content = path.read_bytes()
    file = io.BytesIO(content)
    return is_mp4(file), list(boxes(file, 0, len(content), path))


def _movie(path: Path) -> object:
    from datamodules.formats.mp4.movie import read_movie, video_duration
    from datamodules.formats.mp4.samples import check_counts, end_to_reach, read_samples

    movie = read_movie(path)
    if movie is None:
        return None
    check_counts(path, movie)
    found = [(read_samples(path, track), end_to_reach(path, track)) for track in movie.tracks]
    assert all(samples.keys.size <= samples.sizes.size for samples, _ in found)
    return video_duration(path)


def _matlab(path: Path) -> object:
    from datamodules.formats.matlab import numbers, read_mat

    content = read_mat(path)
    found = numbers(path, content, "x", 3)
    assert found.shape[1] == 3
    return found


def _bvh(path: Path) -> object:
    from datamodules.formats.bvh import read_bvh

    return read_bvh(path)


def _vrs(path: Path) -> object:
    from datamodules.formats.vrs import VrsFile

    file = VrsFile(path)
    found = file.records({(1202, 1), (1201, 1)})
    return [file.record(int(offset)) for records in found.values() for offset in records.offsets[:3]]


def _zip(path: Path) -> object:
    from datamodules.formats.zip_archive import members

    return [member.read() for member in members(path)]


def _tsdf_read(path: Path) -> object:
    from datamodules.formats.tsdf import companions, read_metadata

    companions(path)
    return [file.read(0, min(file.rows, 4)) for file in read_metadata(path)]


def _stamps(path: Path) -> object:
    lines = path.read_bytes().decode("utf-8", "replace").split("\n")
    unit, zone = ("iso8601", "Europe/Berlin") if "-" in lines[0] else ("h:m:s", "")
    return TimeText(unit, zone=zone).read([line or None for line in lines])


def _motion(path: Path, spec: ImuSpec) -> object:
    from datamodules.sources.manifest.motion import read_motion

    motion = read_motion(path, spec)
    assert np.isfinite(motion.times).all()
    return motion


def _labels(path: Path) -> object:
    from datamodules.sources.manifest.labels import read_intervals

    intervals = read_intervals(path, LabelsSpec(files="x", unit="s"))
    assert all(one.end > one.start and one.activity for one in intervals)
    return intervals


def _manifest(path: Path) -> object:
    from datamodules.sources.manifest import Manifest, ManifestParams

    source = Manifest(ManifestParams(str(path)))
    names = source.names()
    source.fingerprint()
    return [source.load(name) for name in names[:2]]


def _config(path: Path) -> object:
    from experiments.settings.load import load

    return load(str(path))


def _saved_config(path: Path) -> object:
    from experiments.settings.load import load_saved

    return load_saved(path)


def _safetensors(path: Path) -> object:
    from torch import nn

    from encoders.weights import load_weights

    return load_weights(nn.Linear(2, 3), path)


def _index(path: Path) -> object:
    from datamodules.shards.index import read_index

    index = read_index(path.parent)
    return index.n_windows, index.fingerprint


def _features(path: Path) -> object:
    from datamodules.features.cache import FeatureCache

    cache = FeatureCache.open(path.parent, cast(Any, _Clips()), "abc")
    return cache.shape, cache.view_settings, cache.take(np.arange(2)), cache.verify()


class _Clips:
    n_windows = 4
    fingerprint = "shards"


def _cells(path: Path) -> object:
    from experiments.evaluation.cell_store import CellStore

    return len(CellStore(path))


def _checkpoint(path: Path) -> object:
    from lightning_modules.checkpoint import read_checkpoint

    return read_checkpoint(path, needs=("state_dict",))


def _head(path: Path) -> object:
    from experiments.inference.head import load_head

    return load_head(path.parent)


def _telemetry(path: Path) -> object:
    from datamodules.sources.action_camera import read_imu

    return read_imu(path, "head")


def _movies(folder: Path) -> list[bytes]:
    """A movie of three boxes by hand, of one track with all its tables."""

    def box(kind: str, *parts: bytes) -> bytes:
        body = b"".join(parts)
        return struct.pack(">I", 8 + len(body)) + kind.encode() + body

    def full(kind: str, *numbers: int) -> bytes:
        return box(kind, bytes(4), struct.pack(f">{len(numbers)}I", *numbers))

    matrix = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    header = box("tkhd", bytes(4), struct.pack(">5I8x4h", 0, 0, 1, 0, 900, 0, 0, 0, 0), matrix, bytes(8))
    description = box(
        "stsd", bytes(4), struct.pack(">I", 1), box("avc1", bytes(78), box("avcC", b"\x01\x42\0\x1e\xff"))
    )
    tables = box(
        "stbl", description, full("stts", 1, 3, 300), full("ctts", 1, 3, 10), full("stss", 1, 1),
        full("stsc", 1, 1, 3, 1), full("stsz", 0, 3, 5, 6, 7), full("stco", 1, 40),
    )  # fmt: skip
    handler = box("hdlr", bytes(8), b"vide", bytes(12), b"x\0")
    media = box("mdia", full("mdhd", 0, 0, 1000, 900, 0), handler, box("minf", tables))
    track = box("trak", header, box("edts", full("elst", 1, 900, 0, 0x10000)), media)
    movie = box("moov", full("mvhd", 0, 0, 1000, 900, 0x10000), track)
    return [box("ftyp", b"isom", bytes(4), b"isom") + box("mdat", bytes(18)) + movie]


def _mats(folder: Path) -> list[bytes]:
    found = []
    for compress in (False, True):
        savemat(folder / "s.mat", {"x": np.arange(12.0).reshape(4, 3), "name": "walk"}, do_compression=compress)
        found.append((folder / "s.mat").read_bytes())
    return found


def _vrs_files(folder: Path) -> list[bytes]:
    from helpers import made_vrs

    stamps = np.arange(5, dtype=np.int64) * 1_000_000
    rows = made_vrs.samples(stamps, np.ones((5, 6)))
    found = []
    for packed, front in ((True, True), (False, False)):
        made_vrs.make_vrs(folder / "s.vrs", {(1202, 1): rows}, packed_index=packed, index_in_front=front)
        found.append((folder / "s.vrs").read_bytes())
    return found


def _zips(folder: Path) -> list[bytes]:
    found = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", method) as archive:
            archive.writestr("a/one.csv", "1,2,3\n" * 20)
            archive.writestr("two.txt", "x")
        found.append(stream.getvalue())
    return found


def _tsdf(folder: Path) -> list[bytes]:
    from helpers.made_tsdf import write_like_ppp

    path = write_like_ppp(folder, np.arange(8) * 10.0, np.ones((8, 6), np.int16))
    return [path.read_bytes()]


def _stamp_texts(folder: Path) -> list[bytes]:
    dates = "\n".join(f"2024-03-31T0{hour}:30:00" for hour in (0, 1, 3)).encode()
    return [dates, b"2024-01-01 10:00:00.250\n2024-01-01 10:00:01+02:00", b"10:00:00\n10:00:01.5\n23:59:59,9"]


def _dated() -> str:
    rows = (f"2024-05-01T10:00:{i / 10:06.3f},{i}.1,0,9.81" for i in range(12))
    return "\n".join(["t,x,y,z", *rows]) + "\n"


def _table() -> pd.DataFrame:
    values = np.column_stack([np.arange(12) / 50, np.ones((12, 3))])
    return pd.DataFrame(values, columns=["t", "x", "y", "z"])


def _parquet(folder: Path) -> list[bytes]:
    found = []
    for compression in (None, "snappy"):
        _table().to_parquet(folder / "s.parquet", compression=compression)
        found.append((folder / "s.parquet").read_bytes())
    return found


def _npy(folder: Path) -> list[bytes]:
    np.save(folder / "s.npy", _table().to_numpy())
    return [(folder / "s.npy").read_bytes()]


def _xlsx(folder: Path) -> list[bytes]:
    _table().to_excel(folder / "s.xlsx", index=False)
    return [(folder / "s.xlsx").read_bytes()]


def _manifests(folder: Path) -> list[bytes]:
    (folder / "imu").mkdir()
    (folder / "imu" / "P1.csv").write_text(_ROWS)
    (folder / "imu" / "P1.txt").write_text("start,end,activity\n0,0.1,1\n")
    return [yaml.safe_dump(_MANIFEST).encode()]


def _saved_configs(folder: Path) -> list[bytes]:
    from experiments.settings.load import load, to_yaml

    return [to_yaml(load("simulator")).encode()]


def _tensors(folder: Path) -> list[bytes]:
    import torch
    from safetensors.torch import save

    return [save({"weight": torch.ones(3, 2), "bias": torch.zeros(3)})]


def _indices(folder: Path) -> list[bytes]:
    from helpers.made_shards import make_shards

    made = make_shards(folder / "made", [2, 3])
    return [(made / "index.json").read_bytes()]


def _features_files(folder: Path) -> list[bytes]:
    from datamodules.features.cache import BLOCK, FORMAT, POOLED, RAW, VERSION, digest

    features, pooled = np.ones((4, 1, 2, 3), np.float16), np.ones((4, 1, 3), np.float16)
    assert len(features) <= BLOCK
    (folder / RAW).write_bytes(features.tobytes())
    (folder / POOLED).write_bytes(pooled.tobytes())
    meta = {
        "format": FORMAT,
        "version": VERSION,
        "encoder": "abc",
        "shards": "shards",
        "views": {"count": 1, "shift": 0.06, "zoom": 0.1, "seed": 0},
        "shape": [4, 1, 2, 3],
        "xxh3": [digest(features)],
        "pooled": {"shape": [4, 1, 3], "xxh3": [digest(pooled)]},
        "computed": "",
    }
    return [json.dumps(meta, indent=1).encode()]


def _cells_files(folder: Path) -> list[bytes]:
    from helpers.made_results import make_results

    from experiments.evaluation.cell_store import CellStore

    store = CellStore(folder / "s.jsonl")
    for result in make_results("made", 2, ("sit", "walk"), shots=(1,), draws=1, methods=("majority",)):
        store.add(result)
    return [(folder / "s.jsonl").read_bytes()]


def _checkpoints(folder: Path) -> list[bytes]:
    import torch

    torch.save({"state_dict": {"a": torch.ones(2, 2)}, "global_step": 3, "loops": {"x": [1]}}, folder / "s.ckpt")
    return [(folder / "s.ckpt").read_bytes()]


def _heads(folder: Path) -> list[bytes]:
    from helpers.made_encoders import small_head

    from experiments.inference.head import save_head

    save_head(small_head("handcrafted_logistic"), folder)
    return [(folder / "head.json").read_bytes()]


def _telemetry_files(folder: Path) -> list[bytes]:
    from helpers import made_gpmf

    payload = made_gpmf.Payload(np.ones((8, 3)), np.ones((8, 3)), 1.0)
    (movie,) = _movies(folder)
    (folder / "s.mp4").write_bytes(movie)
    return [made_gpmf.add_telemetry(folder / "s.mp4", folder / "t.mp4", [payload, payload]).read_bytes()]
