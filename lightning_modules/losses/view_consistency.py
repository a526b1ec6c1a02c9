"""Contrastive loss between two augmented views of an IMU window (NT-Xent, Chen et al. 2020, SimCLR).

In addition to the video's loss, it makes the encoder invariant to the augmentations: the sensor's orientation, the
speed of the motion, noise.

Shape legend: n windows of this process, N windows of all, E width.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_modules.losses.all_gather import all_gather_rows
from lightning_modules.losses.negatives import keep_true_pairs, own_columns


def view_consistency_loss(
    first: Tensor, second: Tensor, temperature: float, negative_mask: Tensor | None = None
) -> Tensor:
    """Compute the cross-entropy of finding a window's other view among both views of all windows.

    Each of this process's 2 n rows is compared with the 2 N - 1 other rows of all processes; the loss is the mean over
    rows. The means of values and gradients over processes are those of the global batch (see ``all_gather``).

    Args:
        first: (n, E), normalised here.
        second: (n, E), normalised here; row i is another view of ``first``'s row i.
        temperature: above 0.
        negative_mask: (n, N) bool, True for pairs of windows to leave out; a window's views are never left out.

    Returns:
        ().

    Raises:
        ValueError: shapes don't match.
    """
    if first.shape != second.shape or first.ndim != 2:
        raise ValueError(f"both views must be (n, E), found {tuple(first.shape)} and {tuple(second.shape)}")
    dtype = torch.promote_types(first.dtype, torch.float32)
    with torch.autocast(first.device.type, enabled=False):
        first, second = F.normalize(first.to(dtype), dim=1), F.normalize(second.to(dtype), dim=1)
        everything = torch.cat([all_gather_rows(first), all_gather_rows(second)])
        total = len(everything) // 2
        logits = torch.cat([first, second]) @ everything.T / temperature
        own = own_columns(len(first), first.device)
        itself, other = torch.cat([own, own + total]), torch.cat([own + total, own])
        logits = logits.scatter(1, itself[:, None], -torch.inf)
        if negative_mask is not None:
            logits = logits.masked_fill(keep_true_pairs(negative_mask).repeat(2, 2), -torch.inf)
        return F.cross_entropy(logits, other)
