"""Moving pictures of held-out windows, of one set of shards or of several."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datamodules.shards.mixed import MixedShards
from datamodules.shards.reader import ShardSet
from experiments.reports.preview.moving import moving_picture
from experiments.reports.preview.scene import scene_of


def held_out_clips(shards: ShardSet | MixedShards, windows: NDArray[np.int64], most: int) -> dict[str, bytes]:
    """Draw windows with video, of different recordings where there are enough.

    Args:
        shards: of the run; of several sets, those without video give no clips.
        windows: that may be shown.
        most: clips.

    Returns:
        Name -> GIF; empty without video.
    """
    if not shards.settings.frames:
        return {}
    if isinstance(shards, MixedShards):
        windows = windows[shards.paired[windows]]
    if not len(windows):
        return {}
    chosen = windows[np.unique(np.linspace(0, len(windows) - 1, most).round().astype(int))]
    if isinstance(shards, MixedShards):  # a scene is of one set
        places = [(shards.parts[part][1], int(w)) for part, _, local in shards.by_part(chosen) for w in local]
    else:
        places = [(shards, int(window)) for window in chosen]
    scenes = [scene_of(one, window) for one, window in places]
    return {f"window {number}": moving_picture(scene) for number, scene in enumerate(scenes, 1) if scene.frames}
