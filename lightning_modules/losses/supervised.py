"""Losses on labels of several data sets: cross-entropy by a head for each, and contrast of activities within each.

Classes of all sets are numbered from 0 to C - 1. A window is compared with classes, and with windows, of its own set
only: "walking" of two sets may be one activity or two, and nothing is learnt from telling them apart.

Shape legend: n rows of this process, N rows of all, C classes of all sets, E width.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_modules.losses.all_gather import all_gather_rows, global_mean
from lightning_modules.losses.negatives import own_columns


def label_loss(logits: Tensor, labels: Tensor, set_of_class: Tensor) -> Tensor:
    """Compute the mean cross-entropy over the labelled windows of all processes, each among its own set's classes.

    Args:
        logits: (n, C), the heads of all sets side by side.
        labels: (n,) int64, -1 for a window without a label.
        set_of_class: (C,) int64.

    Returns:
        () float32 at least; zero if no window has a label.
    """
    dtype = torch.promote_types(logits.dtype, torch.float32)
    with torch.autocast(logits.device.type, enabled=False):
        labelled = labels >= 0
        label = labels.clamp(min=0)
        others = set_of_class[None, :] != set_of_class[label][:, None]
        log_probability = logits.to(dtype).masked_fill(others, -torch.inf).log_softmax(1)
        losses = -log_probability.gather(1, label[:, None])[:, 0]
        return global_mean(torch.where(labelled, losses, 0).sum(), labelled.sum())


def supervised_contrastive_loss(
    rows: Tensor,
    labels: Tensor,
    persons: Tensor,
    set_of_class: Tensor,
    temperature: float,
    other_people: bool = True,
) -> Tensor:
    """Compute the supervised contrastive loss (Khosla et al. 2020, their L_out) over rows of all processes.

    For an anchor i with positives P(i) and candidates A(i), it is the mean over p in P(i) of
    ``-log(exp(z_i . z_p / tau) / sum_{a in A(i)} exp(z_i . z_a / tau))``; then the mean over anchors with a positive.
    Candidates are the labelled rows of the anchor's set, without the anchor itself; those of them with its label are
    positives.

    Args:
        rows: (n, E), normalised here; several views of a window are several rows.
        labels: (n,) int64, -1 without a label: such a row is neither anchor nor candidate.
        persons: (n,) int64.
        set_of_class: (C,) int64.
        temperature: tau, above 0.
        other_people: True takes positives from other persons only, and leaves rows of the same person and label out.

    Returns:
        () float32 at least; zero if no row has a positive.
    """
    dtype = torch.promote_types(rows.dtype, torch.float32)
    with torch.autocast(rows.device.type, enabled=False):
        unit = F.normalize(rows.to(dtype), dim=1)
        all_labels, all_persons = all_gather_rows(labels), all_gather_rows(persons)
        sets, all_sets = set_of_class[labels.clamp(min=0)], set_of_class[all_labels.clamp(min=0)]
        candidates = (labels >= 0)[:, None] & (all_labels >= 0)[None, :] & (sets[:, None] == all_sets[None, :])
        itself = own_columns(len(rows), rows.device)
        candidates = candidates.scatter(1, itself[:, None], value=False)
        same = labels[:, None] == all_labels[None, :]
        if other_people:
            candidates &= ~(same & (persons[:, None] == all_persons[None, :]))
        positives = same & candidates
        # A finite stand-in for minus infinity: a row without candidates must not give NaN, not even in the gradient.
        logits = (unit @ all_gather_rows(unit).T / temperature).masked_fill(~candidates, torch.finfo(dtype).min / 2)
        log_probability = logits.log_softmax(1)
        count = positives.sum(1)
        losses = -torch.where(positives, log_probability, 0).sum(1) / count.clamp(min=1)
        return global_mean(losses.sum(), (count > 0).sum())
