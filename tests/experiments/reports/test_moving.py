"""Moving pictures: each frame at its time, with the cursor there."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datamodules.build.run import build
from datamodules.shards.mixed import MixedShards
from datamodules.shards.reader import ShardSet
from datamodules.windows.settings import WindowSettings
from experiments.reports.preview.held_out import held_out_clips
from experiments.reports.preview.moving import moving_picture
from experiments.reports.preview.scene import Scene


def scene(times: tuple[float, ...]) -> Scene:
    colours = [np.full((8, 8, 3), 40 * number, np.uint8) for number in range(len(times))]
    imu = np.zeros((100, 6))
    imu[:50, 0] = np.nan  # nothing was measured there
    return Scene("made", imu, 20.0, 5.0, list(zip(times, colours, strict=True)))


def test_the_cursor_moves_with_the_frames() -> None:
    gif = Image.open(io.BytesIO(moving_picture(scene((0.0, 1.0, 2.0, 4.5)))))
    assert getattr(gif, "n_frames", 1) == 4
    columns, greys = [], []
    for number in range(4):
        gif.seek(number)
        pixels = np.asarray(gif.convert("RGB")).astype(int)
        vermilion = np.abs(pixels - (213, 94, 0)).sum(axis=2) < 60  # a GIF has 256 colours
        columns.append(np.median(np.flatnonzero(vermilion.sum(axis=0) > 50)))
        greys.append(np.median(pixels[pixels.shape[0] // 2, 100]))
    steps = np.diff(columns)
    assert steps[0] == pytest.approx(steps[1], abs=2)  # pixels
    assert steps[2] == pytest.approx(2.5 * steps[0], abs=4)
    assert greys == pytest.approx([0, 40, 80, 120], abs=12)
    assert gif.info["duration"] > 0


def test_a_window_without_video_is_refused() -> None:
    with pytest.raises(ValueError, match="made: no frames to show"):
        moving_picture(scene(()))


def test_several_sets_show_the_windows_of_those_with_video(tmp_path: Path) -> None:
    sets = [(name, made_shards(tmp_path / name, camera)) for name, camera in (("motion", None), ("video", "head"))]
    mixed = MixedShards(sets)
    found = held_out_clips(mixed, np.arange(mixed.n_windows), 3)
    assert list(found) == ["window 1", "window 2", "window 3"]
    # The same pictures as of the set with video alone: its first, middle and last windows.
    video = sets[1][1]
    assert found == held_out_clips(video, np.arange(video.n_windows), 3)
    assert held_out_clips(mixed, np.flatnonzero(~mixed.paired), 3) == {}


def made_shards(folder: Path, camera: str | None) -> ShardSet:
    params: dict[str, Any] = {"subjects": 1, "sessions_per_subject": 1, "session_s": 20, "placements": ["head"]}
    params["cameras"] = ["head"] if camera else []
    settings = WindowSettings(duration_s=4.0, stride_s=4.0, frames=2 if camera else 0, frame_size=16)
    build("simulator", params, folder, settings, "head", camera, workers=1, clocks="off")
    return ShardSet.open(folder)
