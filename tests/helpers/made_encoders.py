"""Small encoders with random weights, and heads over them, without any training."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from datamodules.handcrafted import FEATURE_NAMES
from datamodules.windows.settings import WindowSettings
from encoders.contract import ImuInput
from encoders.registry import build_imu_encoder
from experiments.inference.encoder import PretrainedImuEncoder
from experiments.inference.encoder_files import EncoderConfig, seen_sets
from experiments.inference.fitting import Estimate
from experiments.inference.head import Head
from experiments.inference.head_facts import BLOCKS
from lightning_modules.probe import LinearProbe, Standardisation

SMALL: dict[str, dict[str, Any]] = {
    "cnn_transformer": {"width": 16, "depth": 1, "heads": 2, "stem_channels": [8, 16]},
    "patchtst": {"width": 8, "depth": 1, "heads": 2, "ffn_width": 16},
    "conv_gru": {"channels": 8, "width": 16},
    "limu_bert_x": {"width": 8, "heads": 2, "hidden": 8, "depth": 2},
}
PEOPLE = ["sp_sw_har/s10", "sp_sw_har/s2", "simulator/sim_h_000"]


def small_encoder(
    name: str = "cnn_transformer", normalisation: str = "physical", **params: Any
) -> PretrainedImuEncoder:
    """An encoder of windows of 5 s at 50 Hz; ``params`` come on top of its small ones."""
    torch.manual_seed(0)
    shape = ImuInput(250, 50.0)
    settings = {**SMALL[name], **params}
    module = build_imu_encoder(name, settings, shape)
    config = EncoderConfig(
        name, settings, shape, normalisation, WindowSettings(), PEOPLE, True, "0", seen_sets(PEOPLE, False)
    )
    return PretrainedImuEncoder(module, config)


def small_head(method: str, gyroscope: bool = True) -> Head:
    """A head for three activities with random numbers."""
    encoder = None if method == "handcrafted_logistic" else small_encoder()
    widths = {"handcrafted": len(FEATURE_NAMES), "pretrained": encoder.pooled_width if encoder else 0}
    width = sum(widths[block] for block in BLOCKS[method])
    rng = np.random.default_rng(0)
    standardisation = Standardisation(rng.normal(size=width), rng.uniform(1, 2, width), 6.0, rng.uniform(1, 2, width))
    probe = LinearProbe(standardisation, rng.normal(0, 0.1, (3, width)), rng.normal(size=3))
    about = {"experiment": "made up", "target": "made up", "simulated": True, "estimate": asdict(Estimate({}, {}))}
    return Head(method, ("lying", "sitting", "walking"), probe, 1.5, WindowSettings(), encoder, gyroscope, about)
