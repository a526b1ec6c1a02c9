"""Published sets that are made up in a folder, and are read as a build reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from helpers import made_bvh, made_sets

from datamodules.sources.registry import make_source
from datamodules.windows.checks import check_recording

# Set -> what writes it (and returns the file that is changed), and the recording that is loaded.
SETS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "bvh": (made_bvh.write_bandai, "dataset-1_walk_normal_001"),
    "usc_had": (made_sets.write_usc_had, "Subject1_a4t2"),
    "hapt": (lambda root: made_sets.write_hapt(root) / "acc_exp10_user05.txt", "exp10_user05"),
    "hapt labels": (lambda root: made_sets.write_hapt(root) / "labels.txt", "exp01_user01"),
    "motionsense": (made_sets.write_motionsense, "dws_1_sub_1"),
    "pamap2": (made_sets.write_pamap2, "subject101_Protocol"),
    "harth": (made_sets.write_harth, "S006"),
    "realworld": (made_sets.write_realworld, "proband4_walking_2"),
    "realworld text": (made_sets.write_realworld, "proband4_walking_2"),
    "fog_star": (made_sets.write_fog_star, "subject1_session1_task1"),
    "weargait_pd": (made_sets.write_weargait_pd, "NLS002_SelfPace_matTURN"),
}


def load(root: Path, name: str) -> list[np.ndarray]:
    """What a build does; the values of each sensor."""
    source = make_source(name.split()[0], {"root": str(root)})
    source.names()
    recording = source.load(SETS[name][1])
    check_recording(recording)
    return [stream.values for stream in recording.imus]
