"""Estimates of the shift between two clocks, by a model that was trained with temporal alignment.

``find_shift`` estimates the shift of one window, and ``recording_shift`` the common shift of a recording's windows.
``alignment_error_ms`` measures a model's accuracy: it shifts the tokens' clock by a known time and estimates the shift.

Shape legend: B windows, L IMU tokens, F frames, D width, K candidate shifts, R resamples.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_modules.losses.token_interpolation import interpolate_tokens


@torch.no_grad()
def shift_scores(
    imu_tokens: Tensor,
    token_times: Tensor,
    token_mask: Tensor,
    frame_tokens: Tensor,
    frame_times: Tensor,
    frame_mask: Tensor,
    candidates_s: Tensor,
    min_overlap: float = 0.5,
) -> Tensor:
    """Compute the mean cosine similarity of frames with the IMU tokens labelled ``shift`` seconds later.

    Args:
        imu_tokens: (B, L, D), in the space of the alignment loss.
        token_times: (L,) seconds.
        token_mask: (B, L) bool.
        frame_tokens: (B, F, D).
        frame_times: (B, F) seconds.
        frame_mask: (B, F) bool.
        candidates_s: (K,) seconds.
        min_overlap: least share of a window's frames at valid tokens; at least two frames are needed.

    Returns:
        (B, K) float32 at least; minus infinity where too few frames are at valid tokens.
    """
    dtype = torch.promote_types(imu_tokens.dtype, torch.float32)
    frames = F.normalize(frame_tokens.to(dtype), dim=2)
    imu_tokens = imu_tokens.to(dtype)
    times = torch.where(frame_mask, frame_times, 0)
    enough = (frame_mask.sum(1) * min_overlap).clamp(min=2)
    scores = []
    for candidate in candidates_s.tolist():
        imu, heard = interpolate_tokens(imu_tokens, token_times, token_mask, times + candidate)
        valid = heard & frame_mask
        count = valid.sum(1)
        score = ((F.normalize(imu, dim=2) * frames).sum(2) * valid).sum(1) / count.clamp(min=1)
        scores.append(score.masked_fill(count < enough, -torch.inf))
    return torch.stack(scores, dim=1)


@torch.no_grad()
def find_shift(
    imu_tokens: Tensor,
    token_times: Tensor,
    token_mask: Tensor,
    frame_tokens: Tensor,
    frame_times: Tensor,
    frame_mask: Tensor,
    candidates_s: Tensor,
    min_overlap: float = 0.5,
) -> Tensor:
    """Estimate how much later than the frames the tokens of each window are labelled.

    The estimate is the candidate with the highest ``shift_scores``, refined by a parabola through it and its two
    neighbours. It is not refined if a neighbour is beyond the end, or has no score.

    Args:
        imu_tokens: see ``shift_scores`` for all arguments.
        token_times: (L,) seconds.
        token_mask: (B, L) bool.
        frame_tokens: (B, F, D).
        frame_times: (B, F) seconds.
        frame_mask: (B, F) bool.
        candidates_s: (K,) seconds, ascending, K >= 1.
        min_overlap: see ``shift_scores``.

    Returns:
        (B,) seconds; NaN for a window in which no candidate has a score.
    """
    scores = shift_scores(
        imu_tokens, token_times, token_mask, frame_tokens, frame_times, frame_mask, candidates_s, min_overlap
    )
    return peak(scores, candidates_s)


def peak(scores: Tensor, candidates_s: Tensor) -> Tensor:
    """Find the peak of scores over candidates, refined between candidates by a parabola.

    Args:
        scores: (B, K), minus infinity for an impossible candidate.
        candidates_s: (K,) seconds, ascending, K >= 1.

    Returns:
        (B,) seconds, not refined if a neighbour is impossible or beyond the end; NaN for a row without a finite score.
    """
    candidates = candidates_s.to(scores)
    best = scores.argmax(1)
    found = candidates[best]
    if len(candidates) >= 3:
        middle = best.clamp(1, len(candidates) - 2)
        y0, y1, y2 = (scores.gather(1, (middle + step).unsqueeze(1)).squeeze(1) for step in (-1, 0, 1))
        before = candidates[middle] - candidates[middle - 1]
        after = candidates[middle + 1] - candidates[middle]
        rise, fall = (y1 - y0) / before, (y1 - y2) / after  # slopes towards the peak, both positive at one
        peaked = (middle == best) & torch.isfinite(y0 + y2) & (rise + fall > 0)
        # The parabola's slope is rise half a step before the candidate, and -fall half a step after it.
        vertex = candidates[middle] - before / 2 + rise * (before + after) / 2 / (rise + fall)
        found = torch.where(peaked, vertex, found)
    return torch.where(torch.isfinite(scores).any(1), found, torch.nan)


class RecordingShift(NamedTuple):
    """The common shift of a recording's windows.

    Attributes:
        shift_s: how much later than the frames the tokens are labelled, seconds; NaN if nothing can be compared. Add it
            to the frames' times, or subtract it from the sensor's, to align both.
        spread_s: standard error of the shift, seconds: the standard deviation over resamples of the windows; NaN with
            fewer than two windows.
        windows: number of windows in the estimate.
    """

    shift_s: float
    spread_s: float
    windows: int


@torch.no_grad()
def recording_shift(scores: Tensor, candidates_s: Tensor, resamples: int = 200, seed: int = 0) -> RecordingShift:
    """Estimate the common shift of the windows of one recording, and its standard error.

    Args:
        scores: (B, K) additive scores of the windows: ``TemporalAlignmentLoss.log_likelihood`` or ``shift_scores``.
            Windows without a finite score are ignored.
        candidates_s: (K,) seconds, ascending; should reach beyond the largest expected shift.
        resamples: R, number of resamples of the windows, with replacement.
        seed: seed of the resampling.

    Returns:
        The shift with the highest sum of scores. A candidate counts if at least half of the windows have a score
        there. A window without a score there uses the mean of its scores, which has no effect.
    """
    scores = scores.detach().double().cpu()
    finite = torch.isfinite(scores)
    scores, finite = scores[finite.any(1)], finite[finite.any(1)]
    count = len(scores)
    if not count:
        return RecordingShift(float("nan"), float("nan"), 0)
    known = torch.where(finite, scores, 0)
    centred = torch.where(finite, known - known.sum(1, keepdim=True) / finite.sum(1, keepdim=True), 0)
    impossible = finite.double().mean(0) < 0.5
    # Use double precision: equal steps between candidates stay equal, and a known shift is found exactly.
    candidates = candidates_s.double().cpu()
    shift = peak(centred.sum(0, keepdim=True).masked_fill(impossible, -torch.inf), candidates)
    if count < 2:
        return RecordingShift(shift.item(), float("nan"), count)
    draws = torch.randint(count, (resamples, count), generator=torch.Generator().manual_seed(seed))
    times = torch.zeros(resamples, count, dtype=centred.dtype).scatter_add_(1, draws, torch.ones_like(draws).double())
    found = peak((times @ centred).masked_fill(impossible, -torch.inf), candidates)
    return RecordingShift(shift.item(), found.std().item(), count)


@torch.no_grad()
def alignment_error_ms(
    imu_tokens: Tensor,
    token_times: Tensor,
    token_mask: Tensor,
    frame_tokens: Tensor,
    frame_times: Tensor,
    frame_mask: Tensor,
    shifts_s: Tensor,
    candidates_s: Tensor,
    min_overlap: float = 0.5,
) -> Tensor:
    """Shift the clocks of each window by a known time, estimate the shift, and return the error.

    Args:
        imu_tokens: see ``shift_scores`` for all arguments except ``shifts_s``.
        token_times: (L,) true times, seconds.
        token_mask: (B, L) bool.
        frame_tokens: (B, F, D).
        frame_times: (B, F) seconds.
        frame_mask: (B, F) bool.
        shifts_s: (B,) known shift of each window's tokens, seconds; positive is later.
        candidates_s: (K,) seconds, ascending; should reach beyond the largest shift.
        min_overlap: see ``shift_scores``.

    Returns:
        (B,) estimated minus true shift, milliseconds; NaN where ``find_shift`` returns NaN.
    """
    # Shift the frames earlier instead of the tokens later: frame times may differ between windows, token times not.
    shifted = frame_times - shifts_s.unsqueeze(1)
    found = find_shift(
        imu_tokens, token_times, token_mask, frame_tokens, shifted, frame_mask, candidates_s, min_overlap
    )
    return (found - shifts_s.to(found)) * 1000
