"""An encoder that no package of ours has: importing this file registers it."""

from __future__ import annotations

from dataclasses import dataclass

from encoders.imu.cnn_transformer import CnnTransformer, CnnTransformerParams
from encoders.registry import imu_encoder


@dataclass
class OwnParams(CnnTransformerParams):
    """Its settings."""


@imu_encoder("own", OwnParams)
class OwnEncoder(CnnTransformer):
    """The encoder."""
