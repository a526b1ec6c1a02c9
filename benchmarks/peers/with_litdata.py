"""LitData as a contestant: ``optimize`` into chunks, ``StreamingDataset`` with shuffling, ``StreamingDataLoader``.

python benchmarks/peers/with_litdata.py FOLDER write CASE | serve
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

import torch
from litdata import StreamingDataLoader, StreamingDataset, optimize
from protocol import BATCH, FRAMES, Records, decode, serve

FOLDER = Path(sys.argv[1])


def item(i: int, case: str) -> dict[str, Any]:
    record = Records(FOLDER, case)[i]
    row: dict[str, Any] = {"imu": torch.from_numpy(record["imu"])}
    if case == "features":
        row["features"] = torch.from_numpy(record["features"])
    if case == "raw":
        row["clip"] = torch.from_numpy(record["clip"])
    if case == "jpeg":
        row |= {f"frame{k}": jpeg for k, jpeg in enumerate(record["jpegs"])}
    return row


class Clips(StreamingDataset):
    """A dataset that decodes in the worker, straight into one array per clip."""

    def __getitem__(self, index: Any) -> dict[str, Any]:
        row = super().__getitem__(index)
        return {"imu": row["imu"], "clip": torch.from_numpy(decode([row[f"frame{k}"] for k in range(FRAMES)]))}


def write(case: str) -> None:
    optimize(
        fn=functools.partial(item, case=case),
        inputs=list(range(len(Records(FOLDER, case)))),
        output_dir=str(FOLDER / "litdata" / case),
        chunk_bytes="64MB",
        num_workers=1,
    )


def batches(case: str, workers: int) -> StreamingDataLoader:
    kind = Clips if case == "jpeg" else StreamingDataset
    dataset = kind(str(FOLDER / "litdata" / case), shuffle=True, drop_last=True)
    return StreamingDataLoader(dataset, batch_size=BATCH[case], num_workers=workers)


if __name__ == "__main__":
    torch.set_num_threads(1)
    write(sys.argv[3]) if sys.argv[2] == "write" else serve(batches)
