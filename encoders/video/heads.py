"""Video heads from frame features to clip features: a trainable temporal head, a mean, or the middle frame.

Shape legend: B batch, F frames, D' width of the frame features, D width of the head's tokens.

A frozen image model's features contain no motion. The temporal head adds it, by differences between neighbouring
frames and by mixing over time. It has a few hundred thousand weights, which are trained on cached features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.contract import VideoFeatures, VideoHead
from encoders.layers.dropout import Dropout
from encoders.layers.masking import masked_mean, mean_and_max
from encoders.layers.transformer import TimedTransformer
from encoders.registry import video_head


@dataclass
class TemporalHeadParams:
    """Settings of the ``temporal`` head.

    Attributes:
        width: D.
        depth: transformer blocks after the convolution.
        heads: attention heads.
        kernel: kernel of the temporal convolution, frames, odd; 1 leaves the convolution out.
        ffn_ratio: hidden width of the feed-forward networks over ``width``.
        dropout: dropout inside the transformer.
        input_dropout: dropout of the frame features, which are wide compared with the number of pairs.
        input_norm: ``layer``; ``standard``, with the statistics of ``set_input_statistics``; or ``none``.
        differences: True adds each frame's rates of change since the last frame and until the next as inputs.
        difference_s: unit of time of the rates of change, seconds, about the frames' spacing.
        shortest_period_s: period of the fastest rotary rotation, seconds.
        longest_period_s: period of the slowest rotation, seconds.
    """

    width: int = 256
    depth: int = 2
    heads: int = 4
    kernel: int = 3
    ffn_ratio: float = 2.0
    dropout: float = 0.1
    input_dropout: float = 0.3
    input_norm: str = "layer"
    differences: bool = True
    difference_s: float = 0.5
    shortest_period_s: float = 1.5
    longest_period_s: float = 100.0


def differences(x: Tensor, times: Tensor, mask: Tensor, per_s: float) -> tuple[Tensor, Tensor]:
    """Compute the rates of change to the neighbouring frames.

    Args:
        x: (B, F, D).
        times: (B, F) seconds, not descending over valid frames.
        mask: (B, F) bool.
        per_s: unit of time, seconds.

    Returns:
        Rates since the last frame and until the next one, (B, F, D) each; zero where the neighbour is missing or
        invalid, or has the same time.
    """
    elapsed = times[:, 1:] - times[:, :-1]
    usable = mask[:, 1:] & mask[:, :-1] & (elapsed > 0)
    rate = torch.where(usable, per_s / torch.where(usable, elapsed, 1), 0).to(x.dtype)
    change = (x[:, 1:] - x[:, :-1]) * rate.unsqueeze(2)
    return F.pad(change, (0, 0, 1, 0)), F.pad(change, (0, 0, 0, 1))


@video_head("temporal", TemporalHeadParams)
class TemporalHead(VideoHead):
    """The head ``temporal``: features and differences, a convolution, a transformer; pooled is mean and maximum."""

    input_mean: Tensor
    input_std: Tensor

    def __init__(self, params: TemporalHeadParams, frame_width: int) -> None:
        super().__init__()
        if params.kernel < 1 or params.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, found {params.kernel}")
        if params.input_norm not in ("layer", "standard", "none"):
            raise ValueError(f"input_norm must be 'layer', 'standard' or 'none', found '{params.input_norm}'")
        self.params = params
        self.token_width = params.width
        self.pooled_width = 2 * params.width
        self.input_norm = nn.LayerNorm(frame_width) if params.input_norm == "layer" else nn.Identity()
        if params.input_norm == "standard":
            # NaN until they are set or loaded, so that a missing call shows.
            self.register_buffer("input_mean", torch.full((frame_width,), torch.nan))
            self.register_buffer("input_std", torch.full((frame_width,), torch.nan))
        self.input_dropout = Dropout(params.input_dropout)
        self.input = nn.Linear(frame_width, params.width)
        self.still_norm = nn.LayerNorm(params.width)
        self.mix = nn.Linear(params.width * (3 if params.differences else 1), params.width)
        self.conv = nn.Conv1d(params.width, params.width, params.kernel, padding=params.kernel // 2)
        self.transformer = TimedTransformer(
            params.width,
            params.depth,
            params.heads,
            params.ffn_ratio,
            params.dropout,
            params.shortest_period_s,
            params.longest_period_s,
        )

    def set_input_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Set the mean and the standard deviation for ``input_norm='standard'``; checkpoints keep both.

        Args:
            mean: (D',) mean of the frame features over the training subjects' valid frames.
            std: (D',) standard deviation of the same features.

        Raises:
            ValueError: ``input_norm`` is not ``standard``.
        """
        if self.params.input_norm != "standard":
            raise ValueError(f"input_norm is '{self.params.input_norm}', which has no statistics; expected 'standard'")
        self.input_mean.copy_(mean)
        self.input_std.copy_(std)

    def _normalised(self, x: Tensor) -> Tensor:
        if self.params.input_norm != "standard":
            return self.input_norm(x)  # type: ignore[no-any-return]
        # Bound features that hardly vary over the training frames, but differ in a new one.
        return ((x - self.input_mean) / (self.input_std + 1e-3)).clamp(-6, 6)

    def forward(self, frame_features: Tensor, frame_times: Tensor, frame_mask: Tensor) -> VideoFeatures:
        """See ``VideoHead``."""
        valid = frame_mask.unsqueeze(2)
        times = torch.where(frame_mask, frame_times, 0)
        features = torch.where(valid, frame_features, 0).to(self.input.weight.dtype)
        x = self.input(self.input_dropout(self._normalised(features)))
        parts = [self.still_norm(x)]
        if self.params.differences:
            parts.extend(differences(x, times, frame_mask, self.params.difference_s))
        y = torch.where(valid, F.gelu(self.mix(torch.cat(parts, dim=2))), 0)
        if self.params.kernel > 1:
            y = y + F.gelu(self.conv(y.transpose(1, 2))).transpose(1, 2)
        tokens = self.transformer(y, times, frame_mask)
        return VideoFeatures(tokens, mean_and_max(tokens, frame_mask))


@dataclass
class MeanHeadParams:
    """The ``mean`` head has no settings."""


@video_head("mean", MeanHeadParams)
class MeanHead(VideoHead):
    """The head ``mean``: unchanged frame features; pooled is their mean, as in the paper. It has no weights."""

    def __init__(self, params: MeanHeadParams, frame_width: int) -> None:
        super().__init__()
        self.token_width = self.pooled_width = frame_width

    def forward(self, frame_features: Tensor, frame_times: Tensor, frame_mask: Tensor) -> VideoFeatures:
        """See ``VideoHead``."""
        tokens = torch.where(frame_mask.unsqueeze(2), frame_features, 0).float()
        return VideoFeatures(tokens, masked_mean(tokens, frame_mask))


@dataclass
class MiddleFrameHeadParams:
    """The ``middle_frame`` head has no settings."""


@video_head("middle_frame", MiddleFrameHeadParams)
class MiddleFrameHead(VideoHead):
    """The head ``middle_frame``: unchanged frame features; pooled is the window's middle frame. It has no weights.

    This is IMU2CLIP's head (Moon et al. 2023). Frames lie at the centres of F equal parts of the window, so the index
    tells the middle frame, even if augmentation changes times. Of two middle frames, the later one is taken, as in that
    paper's code. If the middle frame is missing, the nearest present frame is taken.
    """

    def __init__(self, params: MiddleFrameHeadParams, frame_width: int) -> None:
        super().__init__()
        self.token_width = self.pooled_width = frame_width

    def forward(self, frame_features: Tensor, frame_times: Tensor, frame_mask: Tensor) -> VideoFeatures:
        """See ``VideoHead``."""
        tokens = torch.where(frame_mask.unsqueeze(2), frame_features, 0).float()
        count = frame_mask.shape[1]
        place = torch.arange(count, device=frame_mask.device)
        # Twice the distance, less for later frames: whole numbers, so that a tie is one.
        distance = 2 * (2 * place - (count - 1)).abs() - (2 * place > count - 1).long()
        chosen = distance.expand_as(frame_mask).masked_fill(~frame_mask, 4 * count).argmin(1)
        return VideoFeatures(tokens, tokens[torch.arange(len(tokens), device=tokens.device), chosen])
