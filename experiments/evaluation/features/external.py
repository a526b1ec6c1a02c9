"""Features by an encoder that others trained: its registered architecture, with weights from a file.

Shape legend: N windows of the target, B windows of a batch, L tokens, D width of a token.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from core.digest import file_digest
from core.errors import MendableError
from datamodules.sampling.loader import Batch
from encoders.contract import ImuEncoder, ImuInput
from encoders.layers.masking import masked_max, masked_mean
from encoders.registry import build_imu_encoder
from encoders.weights import load_weights
from experiments.evaluation.errors import EvaluationError
from experiments.evaluation.features.feature_table import FeatureTable
from experiments.evaluation.features.target_features import TargetFeatures
from experiments.settings.evaluation import ExternalConfig


def open_external(name: str, settings: ExternalConfig, imu_input: ImuInput) -> ImuEncoder:
    """Build the encoder and load its weights.

    Raises:
        EvaluationError: there is no such encoder or file, or the two do not fit.
    """
    try:
        encoder = build_imu_encoder(settings.encoder, settings.params, imu_input)
        load_weights(encoder, Path(settings.weights))
    except (MendableError, ValueError) as error:
        raise EvaluationError(f"evaluation.external.{name}: {error}") from error
    return encoder.eval()


def weights_digest(settings: ExternalConfig) -> str:
    """Digest the file of the weights."""
    return file_digest(Path(settings.weights))[:16]


def external_table(features: TargetFeatures, name: str, settings: ExternalConfig) -> FeatureTable:
    """Compute mean, maximum and deviation of the tokens of each window, (N, 3 D)."""
    encoder = open_external(name, settings, features.spec.imu_input).to(features.device)

    def encode(batch: Batch) -> Tensor:
        tokens, _, mask, _ = encoder(batch["imu"], batch["channel_mask"], batch["sample_mask"])
        return mean_max_and_deviation(tokens, mask)

    return features.encoded(encode, 3 * encoder.token_width, settings.normalisation)


def mean_max_and_deviation(tokens: Tensor, mask: Tensor) -> Tensor:
    """Sum up the valid ones of tokens (B, L, D), mask (B, L), as (B, 3 D); zero for a row without any."""
    mean = masked_mean(tokens, mask)
    deviation = masked_mean((tokens - mean.unsqueeze(1)) ** 2, mask).sqrt()
    return torch.cat([mean, masked_max(tokens, mask), deviation], dim=1)
