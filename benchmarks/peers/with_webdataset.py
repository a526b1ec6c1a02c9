"""WebDataset as a contestant: ``ShardWriter``, shuffled shards and a shuffle buffer, batches made in the workers.

    python benchmarks/peers/with_webdataset.py FOLDER write CASE | serve

``WebLoader`` delivers the batches.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import webdataset as wds
from protocol import BATCH, FRAMES, Records, decode, serve

FOLDER = Path(sys.argv[1])


def write(case: str) -> None:
    records = Records(FOLDER, case)
    target = FOLDER / "webdataset" / case
    target.mkdir(parents=True, exist_ok=True)
    # At least as many shards as workers, as the documentation of WebDataset asks for.
    with wds.ShardWriter(str(target / "%06d.tar"), maxcount=max(1, len(records) // 16), maxsize=1e9) as out:
        for i in range(len(records)):
            record = records[i]
            row: dict[str, Any] = {"__key__": f"{i:08d}", "imu.npy": record["imu"]}
            if case == "features":
                row["features.npy"] = record["features"]
            if case == "raw":
                row["clip.npy"] = record["clip"]
            row |= {f"frame{k}.jpg": jpeg for k, jpeg in enumerate(record.get("jpegs", []))}
            out.write(row)


def named(row: dict[str, Any]) -> dict[str, Any]:
    found = {"imu": row["imu.npy"]}
    if "features.npy" in row:
        found["features"] = row["features.npy"]
    if "clip.npy" in row:
        found["clip"] = row["clip.npy"]
    if "frame0.jpg" in row:
        found["clip"] = decode([row[f"frame{k}.jpg"] for k in range(FRAMES)])
    return found


def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    arrays = [name for name in rows[0] if not name.startswith("__")]  # the other keys are WebDataset's own
    return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in arrays}


def batches(case: str, workers: int) -> Iterable[Any]:
    urls = sorted(str(path) for path in (FOLDER / "webdataset" / case).glob("*.tar"))
    size = BATCH[case]
    dataset = (
        wds.WebDataset(urls, shardshuffle=len(urls), nodesplitter=wds.single_node_only)
        .shuffle(1000 if case in ("imu", "features") else 64)
        .decode()
        .map(named)
        .batched(size, collation_fn=collate, partial=False)
    )
    return wds.WebLoader(dataset, batch_size=None, num_workers=workers)


if __name__ == "__main__":
    torch.set_num_threads(1)
    write(sys.argv[3]) if sys.argv[2] == "write" else serve(batches)
