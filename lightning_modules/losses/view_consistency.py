"""Two augmented views of one IMU window belong together (NT-Xent, Chen et al. 2020, SimCLR).

Beside the video it keeps the encoder from hanging on what an augmentation changes: how the sensor sat, how fast
the motion was played, its noise.

Shape legend: n windows of this process, N windows of all, E width.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_modules.losses.all_gather import all_gather_rows, rank


def view_consistency_loss(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of finding a window's other view among both views of all windows.

    Each of the 2 n rows of this process is compared with the 2 N - 1 others of all processes; averaged over rows.
    Across processes the mean of values and gradients is that of the global batch (see ``all_gather``).

    Args:
        first: (n, E), brought to unit length here.
        second: (n, E); row i is another view of ``first``'s row i.
        temperature: above 0.

    Returns:
        ().

    Raises:
        ValueError: shapes don't match.
    """
    if first.shape != second.shape or first.ndim != 2:
        raise ValueError(f"both views must be (n, E), found {tuple(first.shape)} and {tuple(second.shape)}")
    n = len(first)
    dtype = torch.promote_types(first.dtype, torch.float32)
    with torch.autocast(first.device.type, enabled=False):
        first, second = F.normalize(first.to(dtype), dim=1), F.normalize(second.to(dtype), dim=1)
        everything = torch.cat([all_gather_rows(first), all_gather_rows(second)])
        total = len(everything) // 2
        logits = torch.cat([first, second]) @ everything.T / temperature
        own = torch.arange(n, device=first.device) + rank() * n
        itself, other = torch.cat([own, own + total]), torch.cat([own + total, own])
        logits = logits.scatter(1, itself[:, None], -torch.inf)
        return F.cross_entropy(logits, other)
