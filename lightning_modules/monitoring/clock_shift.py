"""By how much two clocks disagree, as a model that was trained with temporal alignment sees it.

For one window (``find_shift``), for a whole recording whose windows vote together (``recording_shift``), and as a
measure of how well a model tells when: it is shown tokens whose clock was moved, and has to find by how much.

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
    """Mean cosine similarity between frames and the IMU tokens labelled ``shift`` seconds later.

    Args:
        imu_tokens: (B, L, D), in the space in which they were aligned.
        token_times: (L,) seconds.
        token_mask: (B, L) bool.
        frame_tokens: (B, F, D).
        frame_times: (B, F) seconds.
        frame_mask: (B, F) bool.
        candidates_s: (K,) seconds.
        min_overlap: share of a window's frames, and at least two, that must meet a valid token.

    Returns:
        (B, K) float32 at least; minus infinity where too few frames meet a token.
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
    """How much later than the frames the tokens are labelled, for each window.

    The candidate with the highest ``shift_scores``, refined by the parabola through it and its two
    neighbours; as it is where a neighbour is beyond the end, or lets too few frames meet a token.

    Args:
        imu_tokens: see ``shift_scores``, as all the others.
        token_times: (L,) seconds.
        token_mask: (B, L) bool.
        frame_tokens: (B, F, D).
        frame_times: (B, F) seconds.
        frame_mask: (B, F) bool.
        candidates_s: (K,) seconds, ascending, K >= 1.
        min_overlap: see ``shift_scores``.

    Returns:
        (B,) seconds; NaN for a window where no candidate lets enough frames meet a token.
    """
    scores = shift_scores(
        imu_tokens, token_times, token_mask, frame_tokens, frame_times, frame_mask, candidates_s, min_overlap
    )
    return peak(scores, candidates_s)


def peak(scores: Tensor, candidates_s: Tensor) -> Tensor:
    """Where scores over candidates are highest, between candidates by a parabola.

    Args:
        scores: (B, K), minus infinity for a candidate that can't be.
        candidates_s: (K,) seconds, ascending, K >= 1.

    Returns:
        (B,) seconds, as the candidate is where a neighbour can't be or is beyond the end; NaN for a row without any
        finite score.
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
    """What a recording's windows say together.

    Attributes:
        shift_s: how much later than the frames the tokens are labelled, seconds; NaN where nothing can be compared.
            Added to the frames' times, or taken off the sensor's, it brings the two together.
        spread_s: its standard error, seconds: the standard deviation over resamples of the windows; NaN with fewer
            than two windows.
        windows: how many had a vote.
    """

    shift_s: float
    spread_s: float
    windows: int


@torch.no_grad()
def recording_shift(scores: Tensor, candidates_s: Tensor, resamples: int = 200, seed: int = 0) -> RecordingShift:
    """The shift that the windows of one recording share, and how sure that is.

    Args:
        scores: (B, K) of its windows, evidence that adds up: ``TemporalAlignmentLoss.log_likelihood`` or
            ``shift_scores``, of which windows that can't be compared at all have none that is finite.
        candidates_s: (K,) seconds, ascending; should reach beyond the largest shift expected.
        resamples: R, of the windows, with replacement.
        seed: of the resampling.

    Returns:
        The shift with the highest sum. A candidate counts if at least half of the windows have a score there; a
        window that has none takes its own mean, and so has no say.
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
    # In double precision: candidates that are equal steps apart stay so, and a known shift comes out as it is.
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
    """Put a known shift between the two clocks of each window, find it, and return by how much that is wrong.

    Args:
        imu_tokens: see ``shift_scores``, as all the others.
        token_times: (L,) seconds, as they truly are.
        token_mask: (B, L) bool.
        frame_tokens: (B, F, D).
        frame_times: (B, F) seconds.
        frame_mask: (B, F) bool.
        shifts_s: (B,) seconds that the tokens of each window are labelled too late.
        candidates_s: (K,) seconds, ascending; should reach beyond the largest shift.
        min_overlap: see ``shift_scores``.

    Returns:
        (B,) found minus true, milliseconds; NaN where ``find_shift`` gives it.
    """
    # Labelling the tokens s later is the same as labelling the frames s earlier, and that may differ by
    # window.
    shifted = frame_times - shifts_s.unsqueeze(1)
    found = find_shift(
        imu_tokens, token_times, token_mask, frame_tokens, shifted, frame_mask, candidates_s, min_overlap
    )
    return (found - shifts_s.to(found)) * 1000
