"""MosaicML Streaming as a contestant: ``MDSWriter``, ``StreamingDataset`` with shuffling, torch's ``DataLoader``.

python benchmarks/peers/with_mds.py FOLDER write CASE | serve
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from protocol import BATCH, FRAMES, SIZE, Records, decode, serve
from streaming import MDSWriter, StreamingDataset
from streaming.base.util import clean_stale_shared_memory
from torch.utils.data import DataLoader

FOLDER = Path(sys.argv[1])
COLUMNS = {
    "imu": {"imu": "ndarray:float32:250,6"},
    "features": {"imu": "ndarray:float32:250,6", "features": "ndarray:float16:10,768"},
    "jpeg": {"imu": "ndarray:float32:250,6", **{f"frame{k}": "bytes" for k in range(FRAMES)}},
    "raw": {"imu": "ndarray:float32:250,6", "clip": f"ndarray:uint8:{FRAMES},{SIZE},{SIZE},3"},
}


class Clips(StreamingDataset):
    """A dataset that decodes in the worker, straight into one array per clip."""

    def __getitem__(self, at: Any) -> Any:
        row = super().__getitem__(at)
        return {"imu": row["imu"], "clip": decode([row[f"frame{k}"] for k in range(FRAMES)])}


def write(case: str) -> None:
    records = Records(FOLDER, case)
    with MDSWriter(out=str(FOLDER / "mds" / case), columns=COLUMNS[case]) as out:
        for i in range(len(records)):
            record = records[i]
            row = {"imu": np.ascontiguousarray(record["imu"])}
            for name in ("features", "clip"):
                if name in record:
                    row[name] = record[name]
            row.update({f"frame{k}": jpeg for k, jpeg in enumerate(record.get("jpegs", []))})
            out.write(row)


def batches(case: str, workers: int) -> DataLoader:
    clean_stale_shared_memory()
    kind = Clips if case == "jpeg" else StreamingDataset
    dataset = kind(local=str(FOLDER / "mds" / case), shuffle=True, batch_size=BATCH[case])
    return DataLoader(dataset, batch_size=BATCH[case], num_workers=workers, drop_last=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    write(sys.argv[3]) if sys.argv[2] == "write" else serve(batches)
