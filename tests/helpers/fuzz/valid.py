"""Small valid files for each parser of the fuzzing."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from scipy.io import savemat

ROWS = "\n".join(["t,x,y,z", *(f"{i / 50:.2f},0.{i},{i}.5,-9.81" for i in range(12))]) + "\n"
BVH = """HIERARCHY
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
CONFIG = b"""datasets:
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


def movies(folder: Path) -> list[bytes]:
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


def mats(folder: Path) -> list[bytes]:
    found = []
    for compress in (False, True):
        savemat(folder / "s.mat", {"x": np.arange(12.0).reshape(4, 3), "name": "walk"}, do_compression=compress)
        found.append((folder / "s.mat").read_bytes())
    return found


def vrs_files(folder: Path) -> list[bytes]:
    from helpers import made_vrs

    stamps = np.arange(5, dtype=np.int64) * 1_000_000
    rows = made_vrs.samples(stamps, np.ones((5, 6)))
    found = []
    for packed, front in ((True, True), (False, False)):
        made_vrs.make_vrs(folder / "s.vrs", {(1202, 1): rows}, packed_index=packed, index_in_front=front)
        found.append((folder / "s.vrs").read_bytes())
    return found


def zips(folder: Path) -> list[bytes]:
    found = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", method) as archive:
            archive.writestr("a/one.csv", "1,2,3\n" * 20)
            archive.writestr("two.txt", "x")
        found.append(stream.getvalue())
    return found


def tsdf(folder: Path) -> list[bytes]:
    from helpers.made_tsdf import write_like_ppp

    path = write_like_ppp(folder, np.arange(8) * 10.0, np.ones((8, 6), np.int16))
    return [path.read_bytes()]


def stamp_texts(folder: Path) -> list[bytes]:
    dates = "\n".join(f"2024-03-31T0{hour}:30:00" for hour in (0, 1, 3)).encode()
    return [dates, b"2024-01-01 10:00:00.250\n2024-01-01 10:00:01+02:00", b"10:00:00\n10:00:01.5\n23:59:59,9"]


def number_texts(folder: Path) -> list[bytes]:
    return [b"1 2 3\n4 5 6\n", b"0.5, -1e3, 2\n1, 2, 3\n"]


def dated(folder: Path) -> list[bytes]:
    rows = (f"2024-05-01T10:00:{i / 10:06.3f},{i}.1,0,9.81" for i in range(12))
    return [("\n".join(["t,x,y,z", *rows]) + "\n").encode()]


def _table() -> pd.DataFrame:
    values = np.column_stack([np.arange(12) / 50, np.ones((12, 3))])
    return pd.DataFrame(values, columns=["t", "x", "y", "z"])


def parquet(folder: Path) -> list[bytes]:
    found = []
    for compression in (None, "snappy"):
        _table().to_parquet(folder / "s.parquet", compression=compression)
        found.append((folder / "s.parquet").read_bytes())
    return found


def npy(folder: Path) -> list[bytes]:
    np.save(folder / "s.npy", _table().to_numpy())
    return [(folder / "s.npy").read_bytes()]


def xlsx(folder: Path) -> list[bytes]:
    _table().to_excel(folder / "s.xlsx", index=False)
    return [(folder / "s.xlsx").read_bytes()]


def manifests(folder: Path) -> list[bytes]:
    (folder / "imu").mkdir()
    (folder / "imu" / "P1.csv").write_text(ROWS)
    (folder / "imu" / "P1.txt").write_text("start,end,activity\n0,0.1,1\n")
    return [yaml.safe_dump(_MANIFEST).encode()]


def saved_configs(folder: Path) -> list[bytes]:
    from experiments.settings.load import load, to_yaml

    return [to_yaml(load("simulator")).encode()]


def tensors(folder: Path) -> list[bytes]:
    import torch
    from safetensors.torch import save

    return [save({"weight": torch.ones(3, 2), "bias": torch.zeros(3)})]


def indices(folder: Path) -> list[bytes]:
    from helpers.made_shards import make_shards

    made = make_shards(folder / "made", [2, 3])
    return [(made / "index.json").read_bytes()]


def features_files(folder: Path) -> list[bytes]:
    from datamodules.features.meta import BLOCK, FORMAT, POOLED, RAW, VERSION, digest

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


def cells_files(folder: Path) -> list[bytes]:
    from helpers.made_results import make_results

    from experiments.evaluation.cell_store import CellStore

    store = CellStore(folder / "s.jsonl")
    for result in make_results("made", 2, ("sit", "walk"), shots=(1,), draws=1, methods=("majority",)):
        store.add(result)
    return [(folder / "s.jsonl").read_bytes()]


def checkpoints(folder: Path) -> list[bytes]:
    import torch

    torch.save({"state_dict": {"a": torch.ones(2, 2)}, "global_step": 3, "loops": {"x": [1]}}, folder / "s.ckpt")
    return [(folder / "s.ckpt").read_bytes()]


def heads(folder: Path) -> list[bytes]:
    from helpers.made_encoders import small_head

    from experiments.inference.head import save_head

    save_head(small_head("handcrafted_logistic"), folder)
    return [(folder / "head.json").read_bytes()]


def telemetry_files(folder: Path) -> list[bytes]:
    from helpers import made_gpmf

    payload = made_gpmf.Payload(np.ones((8, 3)), np.ones((8, 3)), 1.0)
    (movie,) = movies(folder)
    (folder / "s.mp4").write_bytes(movie)
    return [made_gpmf.add_telemetry(folder / "s.mp4", folder / "t.mp4", [payload, payload]).read_bytes()]


def shards(folder: Path) -> list[bytes]:
    from helpers.made_shards import DIRECTORY_SETTINGS, make_shards

    settings = dataclasses.replace(DIRECTORY_SETTINGS, duration_s=0.2, frames=2, frame_size=16)
    make_shards(folder, [2], settings)
    (path,) = folder.glob("*.h5")
    return [path.read_bytes()]


def part_of(whole: Callable[[Path], list[bytes]], name: str, part: str) -> Callable[[Path], list[bytes]]:
    """Writes a valid archive, and returns one of its parts."""

    def parts(folder: Path) -> list[bytes]:
        (folder / name).write_bytes(whole(folder)[0])
        with zipfile.ZipFile(folder / name) as archive:
            return [archive.read(next(entry for entry in archive.namelist() if entry.endswith(part)))]

    return parts


def published(name: str) -> Callable[[Path], list[bytes]]:
    """Writes a published set in which the file ``changed`` stands for one of its files."""

    def write(folder: Path) -> list[bytes]:
        from helpers.published_sets import SETS

        path = SETS[name][0](folder / "set")
        content = path.read_bytes()
        path.unlink()
        path.symlink_to(folder / "changed")
        return [content]

    return write


def encoders(folder: Path) -> list[bytes]:
    from helpers.damaged_cases import made_encoder

    made = made_encoder(folder)
    shutil.copy(made / "model.safetensors", folder)
    return [(made / "config.json").read_bytes()]
