"""Regression of targets of which some are unknown.

Shape legend: n windows of this process, K values of a window.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_modules.losses.all_gather import global_mean


def known_regression_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Compute the mean squared error over the known values of all processes (see ``all_gather.global_mean``).

    Args:
        prediction: (n, K).
        target: (n, K), NaN where unknown.

    Returns:
        () float32 at least; zero if nothing is known.

    Raises:
        ValueError: shapes don't match.
    """
    if prediction.shape != target.shape:
        raise ValueError(
            f"prediction and target must have one shape, found {tuple(prediction.shape)} and {tuple(target.shape)}"
        )
    dtype = torch.promote_types(prediction.dtype, torch.float32)
    with torch.autocast(prediction.device.type, enabled=False):
        known = ~target.isnan()
        errors = torch.where(known, prediction.to(dtype) - torch.where(known, target, 0).to(dtype), 0)
        return global_mean(errors.square().sum(), known.sum())
