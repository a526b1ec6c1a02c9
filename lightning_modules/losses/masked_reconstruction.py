"""IMU alone: some patches of each channel are hidden, and painted in from the rest.

As PatchTST is pretrained (Nie et al. 2023) and as the paper's IMU-only baseline is (its code: transformers'
``PatchTSTForPretraining`` with a random share of 0.4): patches of each channel on their own, the same number for
every channel that was measured throughout; zeros in their place; mean squared error over what was hidden.

Shape legend: B windows, T samples, C channels, P patches, L IMU tokens, D width, G groups.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from encoders.contract import ImuEncoder, ImuInput
from lightning_modules.losses.all_gather import global_mean


def mask_patches(
    imu: Tensor,
    sample_mask: Tensor,
    channel_mask: Tensor,
    share: float,
    patch: int,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Hide whole patches, drawn for each window and channel on its own.

    Patches lie side by side and end with the window, as PatchTST's do; what is left over at its start is never
    hidden. Of a channel's patches with at least one measured sample, ``share`` are hidden (rounded, and never all).

    Args:
        imu: (B, T, C).
        sample_mask: (B, T) bool.
        channel_mask: (B, C) bool.
        share: between 0 and 1.
        patch: samples a patch.
        generator: of the draw, on any device; torch's own by default.

    Returns:
        (B, T, C) with zeros where hidden, and (B, T, C) bool: which samples are hidden and were measured.

    Raises:
        ValueError: ``share`` or ``patch`` is out of range.
    """
    B, T, C = imu.shape
    if not 0 < share < 1:
        raise ValueError(f"the share of hidden patches must lie between 0 and 1, found {share}")
    if not 1 <= patch <= T:
        raise ValueError(f"patches must have 1 ... {T} samples (the window's), found {patch}")
    measured = sample_mask.unsqueeze(2) & channel_mask.unsqueeze(1)
    P = T // patch
    first = T - P * patch
    valid = measured[:, first:].reshape(B, P, patch, C).any(2)
    device = imu.device if generator is None else generator.device
    draw = torch.rand(B, P, C, generator=generator, device=device).to(imu.device)
    place = draw.masked_fill(~valid, torch.inf).argsort(1).argsort(1)  # 0 ... P - 1, those without a sample last
    count = valid.sum(1, keepdim=True)
    hidden_patches = place < torch.minimum((share * count).round(), count - 1)
    hidden = torch.zeros_like(measured)
    hidden[:, first:] = hidden_patches.repeat_interleave(patch, dim=1)
    hidden &= measured
    return imu.masked_fill(hidden, 0), hidden


def masked_reconstruction_loss(prediction: Tensor, target: Tensor, hidden: Tensor) -> Tensor:
    """Mean squared error over the hidden samples of all processes (see ``all_gather.global_mean``).

    Args:
        prediction: (B, T, C); anything where nothing is hidden.
        target: (B, T, C).
        hidden: (B, T, C) bool.

    Returns:
        () float32 at least; zero where nothing is hidden.

    Raises:
        ValueError: shapes don't match.
    """
    if not prediction.shape == target.shape == hidden.shape:
        raise ValueError(
            "prediction, target and hidden must have one shape, found "
            f"{tuple(prediction.shape)}, {tuple(target.shape)} and {tuple(hidden.shape)}"
        )
    dtype = torch.promote_types(prediction.dtype, torch.float32)
    with torch.autocast(prediction.device.type, enabled=False):
        errors = torch.where(hidden, prediction.to(dtype) - target.to(dtype), 0)
        return global_mean(errors.square().sum(), hidden.sum())


class TokenDecoder(nn.Module):
    """A linear map from each token to the samples around its time.

    With ``groups`` = C and ``patchtst``, whose tokens are its channels' tokens side by side, it is PatchTST's own
    head: one map for all channels, each predicted from its own token.

    Args:
        token_width: D.
        channels: C.
        step: samples that each token predicts; the distance between tokens, or less.
        rate_hz: samples a second.
        groups: parts of a token, side by side, each of which predicts C / groups channels with one shared map.

    Raises:
        ValueError: widths or channels can't be split into the groups, or ``step`` is below 1.
    """

    def __init__(self, token_width: int, channels: int, step: int, rate_hz: float, groups: int = 1) -> None:
        super().__init__()
        if groups < 1 or token_width % groups or channels % groups:
            raise ValueError(f"{groups} groups must divide the tokens' width {token_width} and {channels} channels")
        if step < 1:
            raise ValueError(f"each token must predict at least one sample, found {step}")
        self.channels = channels
        self.step = step
        self.rate_hz = rate_hz
        self.groups = groups
        self.samples = nn.Linear(token_width // groups, step * (channels // groups))

    @classmethod
    def for_encoder(cls, encoder: ImuEncoder, imu_input: ImuInput, groups: int = 1) -> TokenDecoder:
        """With the distance between an encoder's tokens as ``step``; found by encoding an empty window."""
        device = next(encoder.parameters()).device
        imu = torch.zeros(1, imu_input.samples, imu_input.channels, device=device)
        with torch.no_grad():
            measured = torch.ones_like(imu, dtype=torch.bool)
            # A copy, so that modes and statistics of the encoder stay as they are.
            times = copy.deepcopy(encoder).eval()(imu, measured[:, 0], measured[:, :, 0]).token_times
        distances = times.diff() * imu_input.rate_hz
        step = round(distances.median().item()) if len(times) > 1 else imu_input.samples
        return cls(encoder.token_width, imu_input.channels, step, imu_input.rate_hz, groups)

    def forward(self, tokens: Tensor, token_times: Tensor, samples: int) -> tuple[Tensor, Tensor]:
        """Predict a window of ``samples`` samples, i / rate_hz seconds being sample i's time.

        Args:
            tokens: (B, L, D).
            token_times: (L,) seconds, the centre of what each token saw.
            samples: T.

        Returns:
            (B, T, C), and (T,) bool: which samples are predicted, each by the token nearest to it. The others
            are zero: too far from every token.
        """
        B, L, D = tokens.shape
        # Centres lie at halves of a sample; float32 seconds put them slightly off.
        centres = (token_times.double() * self.rate_hz * 8).round() / 8
        starts = (centres - (self.step - 1) / 2 + 0.5).floor().long()
        i = torch.arange(samples, device=tokens.device)
        token = (i.unsqueeze(1) - centres.unsqueeze(0)).abs().argmin(1)
        offset = i - starts[token]
        predicted = (offset >= 0) & (offset < self.step)
        values = self.samples(tokens.reshape(B, L, self.groups, D // self.groups))
        values = values.reshape(B, L, self.groups, self.step, -1).transpose(2, 3).reshape(B, L * self.step, -1)
        index = torch.where(predicted, token * self.step + offset, 0)
        return values[:, index].masked_fill(~predicted.unsqueeze(1), 0), predicted
