"""A new source of recordings: put this file into datamodules/sources/, and a config may say `source: {name: my_set}`.

The folder has a file a person, `S01.csv`, with the columns time_s, ax, ay, az (g), gx, gy, gz (deg/s), activity. (For
tables like these, a manifest does without any code: docs/guides/your-data.md.)
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from core.settings import setting
from datamodules.recording import STANDARD_GRAVITY, ImuStream, Interval, Recording
from datamodules.sources.registry import Source, source


@dataclass
class MySetParams:
    """Settings; `datasets.NAME.source.params.root=...` changes one."""

    root: str = setting("data/my_set", "folder of the CSV files")


@source("my_set", MySetParams)
class MySet(Source):
    """One recording a file.

    Args:
        params: the folder.
    """

    def __init__(self, params: MySetParams) -> None:
        self.root = Path(params.root)

    def names(self) -> list[str]:
        """Names of all recordings, always in the same order."""
        return sorted(path.stem for path in self.root.glob("S*.csv"))

    def load(self, name: str) -> Recording:
        """Load one recording: SI units, one clock, labels as intervals."""
        table = pd.read_csv(self.root / f"{name}.csv")
        times = table["time_s"].to_numpy(float)
        acceleration = table[["ax", "ay", "az"]].to_numpy(float) * STANDARD_GRAVITY
        gyroscope = np.deg2rad(table[["gx", "gy", "gz"]].to_numpy(float))
        stream = ImuStream(times, np.hstack([acceleration, gyroscope]), placement="wrist", device="my sensor")
        changes = np.flatnonzero(table["activity"].ne(table["activity"].shift()))
        ends = [*times[changes[1:]], times[-1]]
        labels = [Interval(times[i], end, table["activity"][i]) for i, end in zip(changes, ends, strict=True)]
        return Recording(name, subject=name, imus=(stream,), activities=tuple(labels), source="my_set")
