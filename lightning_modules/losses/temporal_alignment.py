"""Temporal alignment inside a window: the IMU at a frame's time must match this frame better than other frames.

Shape legend: B windows, L IMU tokens, F frames, D width, K candidate shifts.

The IMU's tokens are interpolated to the frames' times. The F x F similarities are compared with a target whose width
in time allows for similar neighbouring frames. If the two clocks may disagree, this is done for each candidate shift,
and the loss is the marginal likelihood; see ``shift_marginal``.
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
    """Compute the target distribution for each row of a window's similarities.

    Args:
        times: (B, F) seconds.
        valid: (B, F) bool.
        width_s: standard deviation of the Gaussian, or half width of the band, seconds; towards 0 the target becomes
            the identity.
        shape: ``gaussian`` or ``band``.

    Returns:
        (B, F, F): each valid row sums to 1 over the valid columns; all other entries are zero.

    Raises:
        ValueError: the shape is unknown or the width is negative.
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
    return weight / weight.sum(2, keepdim=True).clamp(min=1)  # a valid row sums to 1 or more; clamp only empty rows


@dataclass
class TemporalAlignmentParams:
    """Settings of the loss.

    Attributes:
        width_s: width of the target, the distance in time of similar frames, seconds.
        shape: ``gaussian`` or ``band``.
        temperature: initial value of the learnt temperature.
        min_temperature: lower bound of the learnt temperature.
        max_shift_s: largest disagreement of the clocks, seconds; 0 trusts the clocks.
        shift_step_s: longest step between candidate shifts, seconds.
        shift_deviation_s: standard deviation of the prior over shifts, seconds. None takes half of ``max_shift_s``.
            Infinity gives a uniform prior, which leaves a shift of zero undefined; see ``shift_marginal``.
        evidence: factor on the frames' log-likelihoods in the posterior of the shifts; see ``marginal_loss``.
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

    The mean is over the valid frames of all windows of all processes (see ``all_gather.global_mean``). A window with
    fewer than two frames that are valid in both modalities contains no information about time and contributes nothing.

    With ``max_shift_s`` above 0, minus the cross-entropy under a shift is the log-likelihood of this shift, and the
    loss is ``marginal_loss``.

    Attributes:
        shifts_s: (K,) candidate shifts, seconds.
        prior: (K,) log-probabilities of the shifts.

    Raises:
        ValueError: a shift, a step or a deviation is out of range, or ``evidence`` is not above 0.
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
        """Compute the loss, a scalar.

        Args:
            imu_tokens: (B, L, D), projected to the frames' width.
            token_times: (L,) seconds since the window's start.
            token_mask: (B, L) bool.
            frame_tokens: (B, F, D).
            frame_times: (B, F) seconds since the window's start.
            frame_mask: (B, F) bool.
            recordings: (B,) int64, number of each window's recording, equal on all processes. The windows of a
                recording share one shift. None gives every window its own shift.

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
        """Compute minus the cross-entropy of each window under each shift of the tokens, summed over its frames.

        A shift labels the tokens later by this time. All shifts are compared on the same frames, those at valid tokens
        under every shift. Otherwise the number of frames would favour some shifts. So a large ``max_shift_s`` drops the
        frames at the window's ends.

        Args:
            imu_tokens: see ``forward`` for this and all arguments up to ``frame_mask``.
            token_times: (L,) seconds.
            token_mask: (B, L) bool.
            frame_tokens: (B, F, D).
            frame_times: (B, F) seconds.
            frame_mask: (B, F) bool.
            shifts_s: (K,) seconds.

        Returns:
            (B, K) float32 at least, and () the number of compared frames.

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
            # The target is symmetric, so both directions share it.
            target = alignment_target(frame_times, valid, self.params.width_s, self.params.shape)
            entropy = _cross_entropy(similarity, target, valid) + _cross_entropy(
                similarity.transpose(2, 3), target, valid
            )
            return -entropy / 2, valid.sum()


def _cross_entropy(similarity: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Compute the cross-entropy of similarities (B, K, F, F), summed over valid rows, (B, K)."""
    # A finite fill keeps the gradient of invalid rows and columns at exactly zero.
    lowest = torch.finfo(similarity.dtype).min / 2
    log_share = similarity.masked_fill(~valid[:, None, None], lowest).log_softmax(3)
    target = target.unsqueeze(1)
    return -torch.where(target > 0, target * log_share, 0).sum((2, 3))
