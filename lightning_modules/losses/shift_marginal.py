"""Marginal likelihood over an unknown shift between two clocks: candidate shifts, their prior, and the loss.

Shape legend: n windows of this process, N of all processes, K candidate shifts.

A recording has one shift s, the same in all its windows. With the log-likelihood ``l[w, k]`` of window w under
candidate k and a prior ``p[k]``, the loss of a recording R is

    -log sum_k p[k] exp(sum_{w in R} l[w, k])

Its gradient is the gradient of each candidate's log-likelihood, weighted by the candidate's posterior. This is
expectation-maximisation in one step.

The likelihood alone does not define a shift of zero: encoders that all represent a later moment explain clocks with
equally larger shifts just as well. The prior decides. With a prior centred at zero, the loss is smallest at the true
shifts. The prior's pull is a fixed slope per *recording*. It is small against the frames' evidence for one recording's
shift, but it is the only force in the direction in which the shifts of all recordings move together.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lightning_modules.losses.all_gather import all_gather_rows, global_mean


def candidate_shifts(max_shift_s: float, step_s: float) -> Tensor:
    """Return equally spaced shifts from ``-max_shift_s`` to ``max_shift_s``, with zero in the middle.

    Args:
        max_shift_s: seconds; 0 gives the single candidate 0.
        step_s: longest step between candidates, seconds.

    Returns:
        (K,) float64, K odd, ascending.

    Raises:
        ValueError: the shift is negative, or the step is not above zero.
    """
    if not (math.isfinite(max_shift_s) and max_shift_s >= 0):
        raise ValueError(f"max_shift_s must be 0 or more seconds, found {max_shift_s}")
    if not step_s > 0:
        raise ValueError(f"shift_step_s must be above 0 seconds, found {step_s}")
    half = math.ceil(max_shift_s / step_s - 1e-9)
    return torch.arange(-half, half + 1, dtype=torch.float64) * (max_shift_s / max(half, 1))


def log_prior(shifts_s: Tensor, deviation_s: float) -> Tensor:
    """Compute a Gaussian prior about zero on the candidates, which sums to 1.

    Args:
        shifts_s: (K,) seconds.
        deviation_s: standard deviation, seconds; infinity gives a uniform prior.

    Returns:
        (K,) log-probabilities.

    Raises:
        ValueError: the deviation is not above zero.
    """
    if not deviation_s > 0:
        raise ValueError(f"the prior's standard deviation must be above 0 seconds, found {deviation_s}")
    return (-0.5 * (shifts_s / deviation_s).square()).log_softmax(0)


def recording_evidence(log_likelihood: Tensor, recordings: Tensor | None) -> tuple[Tensor, Tensor]:
    """Sum the log-likelihoods over all windows of each window's recording, including windows of other processes.

    Args:
        log_likelihood: (n, K).
        recordings: (n,) int64, number of each window's recording, equal on all processes; None treats each window as
            a separate recording.

    Returns:
        (n, K) sums over the windows of each row's recording, and (n,) numbers of these windows.
    """
    if recordings is None:
        return log_likelihood, torch.ones_like(log_likelihood[:, 0])
    everywhere = all_gather_rows(log_likelihood)
    together = (recordings.unsqueeze(1) == all_gather_rows(recordings).unsqueeze(0)).to(log_likelihood.dtype)
    return together @ everywhere, together.sum(1)


def marginal_loss(
    log_likelihood: Tensor,
    prior: Tensor,
    count: Tensor,
    recordings: Tensor | None = None,
    evidence: float = 1.0,
) -> Tensor:
    """Compute minus the logarithm of the mean likelihood over shifts, summed over recordings, per counted item.

    The result equals that of one large batch for any number of processes; see ``all_gather.global_mean``.

    Args:
        log_likelihood: (n, K) log-likelihood of each window under each shift, differentiable.
        prior: (K,) log-probabilities.
        count: () number of this process's items, e.g. frames, for the mean.
        recordings: see ``recording_evidence``.
        evidence: factor on log-likelihoods in the posterior of the shifts. Dependent items have less evidence than
            their number suggests. Towards 0, the posterior becomes the prior.

    Returns:
        A scalar.
    """
    if len(prior) == 1:  # a single shift has no posterior, so no process needs the others' windows
        return global_mean(-log_likelihood.sum(), count)
    summed, windows = recording_evidence(log_likelihood, recordings)
    per_recording = (prior + evidence * summed).logsumexp(1) / evidence
    return global_mean(-(per_recording / windows).sum(), count)


def shift_posterior(log_likelihood: Tensor, prior: Tensor, recordings: Tensor | None = None) -> Tensor:
    """Compute the posterior of each window's recording over shifts, (n, K); arguments as in ``marginal_loss``."""
    return (prior + recording_evidence(log_likelihood, recordings)[0]).softmax(1)
