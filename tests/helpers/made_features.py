"""Clips whose frames tell their window, and an encoder whose features can be predicted."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

N, FRAMES, SIDE = 300, 3, 16


class Clips:
    """Frames whose grey level is the window's number, so that features can be predicted."""

    n_windows = N
    fingerprint = "shards-1"

    def __init__(self) -> None:
        self.reads = 0

    def frames(self, indices: np.ndarray) -> np.ndarray:
        self.reads += 1
        level = (indices % 200).astype(np.uint8)[:, None, None, None, None]
        return np.broadcast_to(level, (len(indices), FRAMES, SIDE, SIDE, 3)).copy()

    def frame_times(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        times = np.tile(np.arange(FRAMES, dtype=np.float32), (len(indices), 1))
        mask = np.ones((len(indices), FRAMES), dtype=bool)
        mask[:, 2] = indices % 2 == 0
        return times, mask


def encode(frames: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    mean = frames.float().mean(dim=(2, 3, 4))
    return torch.stack([mean, mean * 2], dim=-1), 3 * mean[:, :1]  # pooled, which is no mean of the others
