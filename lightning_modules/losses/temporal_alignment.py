"""Alignment inside a window: the IMU at a frame's time should look like that frame, not like a later one.

Shape legend: B windows, L IMU tokens, F frames, D width, K candidate shifts.

The IMU's tokens are interpolated to the frames' times; the F x F similarities are held against a target that
is wide in time as a frame is unsure of its moment. Where the two clocks may disagree, that is done for each candidate
shift, and the loss is the marginal likelihood; see ``shift_marginal``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.losses.shift_marginal import candidate_shifts, log_prior, marginal_loss
from lightning_modules.losses.token_interpolation import interpolate_tokens, similarity_at

__all__ = ["TemporalAlignmentLoss", "TemporalAlignmentParams", "alignment_target", "interpolate_tokens"]


def alignment_target(times: Tensor, valid: Tensor, width_s: float, shape: str = "gaussian") -> Tensor:
    """What the similarities of one window should look like, row by row.

    Args:
        times: (B, F) seconds.
        valid: (B, F) bool.
        width_s: the Gaussian's standard deviation, or the band's half width; towards 0 it becomes the
            identity.
        shape: ``gaussian`` or ``band``.

    Returns:
        (B, F, F): each valid row sums to 1 over the valid columns; all else is zero.

    Raises:
        ValueError: an unknown shape or a negative width.
    """
    if width_s < 0:
        raise ValueError(f"width_s must not be negative, found {width_s}")
    times = torch.where(valid, times, 0)
    distance = (times.unsqueeze(2) - times.unsqueeze(1)).abs()
    if shape == "gaussian":
        weight = torch.exp(-0.5 * (distance / max(width_s, 1e-6)).square())
    elif shape == "band":
        weight = (distance <= width_s).to(times.dtype)
    else:
        raise ValueError(f"the target's shape must be 'gaussian' or 'band', found '{shape}'")
    weight = weight * (valid.unsqueeze(2) & valid.unsqueeze(1))
    return weight / weight.sum(2, keepdim=True).clamp(min=1)  # a valid row has its own 1, so only 0 is clamped


@dataclass
class TemporalAlignmentParams:
    """Settings of the loss.

    Attributes:
        width_s: how far in time a frame may look like its neighbours, seconds.
        shape: ``gaussian`` or ``band``.
        temperature: where the learnt temperature starts.
        min_temperature: it is held above this.
        max_shift_s: the clocks may disagree by up to this; 0 trusts them.
        shift_step_s: from one candidate shift to the next, at most.
        shift_deviation_s: standard deviation of the prior over shifts; None takes half of ``max_shift_s``, infinity
            is uniform, which leaves open what a shift of zero is; see ``shift_marginal``.
        evidence: how much frames count when shifts are weighed against each other; see ``marginal_loss``.
    """

    width_s: float = 0.25
    shape: str = "gaussian"
    temperature: float = 0.1
    min_temperature: float = 0.01
    max_shift_s: float = 0.0
    shift_step_s: float = 0.05
    shift_deviation_s: float | None = None
    evidence: float = 1.0


class TemporalAlignmentLoss(nn.Module):
    """Symmetric cross-entropy between similarities inside each window and ``alignment_target``.

    Averaged over the valid frames of all windows, of all processes (see ``all_gather.global_mean``). A window
    with fewer than two frames that are valid in both modalities says nothing about time and contributes
    nothing.

    With ``max_shift_s`` above 0, minus the cross-entropy under a shift is the log-likelihood of that shift, and the
    loss is ``marginal_loss``.

    Attributes:
        shifts_s: (K,) candidate shifts, seconds.
        prior: (K,) their log-probabilities.

    Raises:
        ValueError: a shift, a step or a deviation that can't be, or ``evidence`` not above 0.
    """

    shifts_s: Tensor
    prior: Tensor

    def __init__(self, params: TemporalAlignmentParams | None = None) -> None:
        super().__init__()
        self.params = p = params or TemporalAlignmentParams()
        if not p.evidence > 0:
            raise ValueError(f"evidence must be above 0, found {p.evidence}")
        self.log_scale = nn.Parameter(torch.tensor(-math.log(p.temperature)))
        self.max_log_scale = -math.log(p.min_temperature)
        shifts = candidate_shifts(p.max_shift_s, p.shift_step_s)
        deviation = p.max_shift_s / 2 if p.shift_deviation_s is None else p.shift_deviation_s
        self.register_buffer("shifts_s", shifts.float(), persistent=False)
        self.register_buffer("prior", log_prior(shifts, deviation or math.inf).float(), persistent=False)

    def forward(
        self,
        imu_tokens: Tensor,
        token_times: Tensor,
        token_mask: Tensor,
        frame_tokens: Tensor,
        frame_times: Tensor,
        frame_mask: Tensor,
        recordings: Tensor | None = None,
    ) -> Tensor:
        """The loss, a scalar.

        Args:
            imu_tokens: (B, L, D), projected to the frames' width.
            token_times: (L,) seconds.
            token_mask: (B, L) bool.
            frame_tokens: (B, F, D).
            frame_times: (B, F) seconds since the window's start, as the tokens' are.
            frame_mask: (B, F) bool.
            recordings: (B,) int64, a number for each recording, the same on all processes: its windows share one
                shift. None lets every window have its own.

        Raises:
            ValueError: the widths differ.
        """
        log_likelihood, count = self.log_likelihood(
            imu_tokens, token_times, token_mask, frame_tokens, frame_times, frame_mask, self.shifts_s
        )
        prior = self.prior.to(log_likelihood.dtype)
        return marginal_loss(log_likelihood, prior, count, recordings, self.params.evidence)

    def log_likelihood(
        self,
        imu_tokens: Tensor,
        token_times: Tensor,
        token_mask: Tensor,
        frame_tokens: Tensor,
        frame_times: Tensor,
        frame_mask: Tensor,
        shifts_s: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Minus the cross-entropy of each window, summed over its frames, if the tokens are labelled so much later.

        All shifts are judged by the same frames, those that meet a token under each: otherwise a shift would be
        preferred for having more frames to win with, or fewer to lose with. Wide shifts so cost the frames at the
        window's ends.

        Args:
            imu_tokens: see ``forward``, as all up to ``frame_mask``.
            token_times: (L,) seconds.
            token_mask: (B, L) bool.
            frame_tokens: (B, F, D).
            frame_times: (B, F) seconds.
            frame_mask: (B, F) bool.
            shifts_s: (K,) seconds.

        Returns:
            (B, K) float32 at least, and () how many frames are compared.

        Raises:
            ValueError: the widths differ.
        """
        if imu_tokens.shape[-1] != frame_tokens.shape[-1]:
            raise ValueError(
                f"IMU tokens are {imu_tokens.shape[-1]} wide, frame tokens {frame_tokens.shape[-1]}: "
                "project them to one width"
            )
        dtype = torch.promote_types(imu_tokens.dtype, torch.float32)
        B, frames = frame_mask.shape
        with torch.autocast(imu_tokens.device.type, enabled=False):
            frame_times = torch.where(frame_mask, frame_times, 0).to(dtype)
            times = (frame_times.unsqueeze(1) + shifts_s.to(dtype)[:, None]).flatten(1)
            unit = F.normalize(frame_tokens.to(dtype), dim=2)
            cosine, heard = similarity_at(imu_tokens.to(dtype), token_times, token_mask, unit, times)
            scale = self.log_scale.to(dtype).clamp(max=self.max_log_scale).exp()
            similarity = scale * cosine.reshape(B, -1, frames, frames)
            valid = heard.reshape(B, -1, frames).all(1) & frame_mask
            valid = valid & (valid.sum(1, keepdim=True) >= 2)
            # The target is the same for both directions: distance in time has none.
            target = alignment_target(frame_times, valid, self.params.width_s, self.params.shape)
            entropy = _cross_entropy(similarity, target, valid) + _cross_entropy(
                similarity.transpose(2, 3), target, valid
            )
            return -entropy / 2, valid.sum()


def _cross_entropy(similarity: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Of similarities (B, K, F, F), summed over valid rows, (B, K)."""
    # A finite fill keeps the gradient of invalid rows and columns at exactly zero.
    lowest = torch.finfo(similarity.dtype).min / 2
    log_share = similarity.masked_fill(~valid[:, None, None], lowest).log_softmax(3)
    target = target.unsqueeze(1)
    return -torch.where(target > 0, target * log_share, 0).sum((2, 3))
