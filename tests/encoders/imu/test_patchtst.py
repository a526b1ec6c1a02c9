from __future__ import annotations

from typing import Any

import pytest
import torch

from encoders.contract import ImuInput
from encoders.imu.patchtst import PatchTST, PatchTSTParams, TokenBatchNorm, sincos_positions

ALL = torch.ones(4, 6, dtype=torch.bool), torch.ones(4, 250, dtype=torch.bool)


def reference(params: PatchTSTParams, ours: PatchTST) -> torch.nn.Module:
    """Transformers' model with random weights, statistics included, copied into ``ours``."""
    patchtst = pytest.importorskip("transformers.models.patchtst")
    config = patchtst.PatchTSTConfig(
        num_input_channels=6,
        context_length=250,
        patch_length=params.patch,
        patch_stride=params.stride,
        num_hidden_layers=params.depth,
        d_model=params.width,
        num_attention_heads=params.heads,
        ffn_dim=params.ffn_width,
        norm_type=f"{params.norm}norm",
        pre_norm=params.pre_norm,
        positional_encoding_type="random" if params.positions == "learnt" else "sincos",
        scaling="std" if params.scaling == "standard" else None,
        use_cls_token=True,
    )
    theirs = patchtst.PatchTSTModel(config)
    generator = torch.Generator().manual_seed(1)
    for name, value in theirs.state_dict().items():
        if value.is_floating_point() and "position" not in name:
            value.copy_(torch.rand(value.shape, generator=generator) * 0.2 + (0.9 if "norm" in name else -0.1))
    weights = theirs.encoder.state_dict()
    ours.embed.weight.data = weights["embedder.input_embedding.weight"]
    ours.embed.bias.data = weights["embedder.input_embedding.bias"]
    ours.cls.data = weights["positional_encoder.cls_token"].flatten()
    ours.positions.data = weights["positional_encoder.position_enc"]
    block: Any
    for index, block in enumerate(ours.blocks):
        layer = theirs.encoder.layers[index]
        attention = layer.self_attn
        parts = (attention.q_proj, attention.k_proj, attention.v_proj)
        block.qkv.weight.data = torch.cat([part.weight for part in parts])
        block.qkv.bias.data = torch.cat([part.bias for part in parts])
        block.output.load_state_dict(attention.out_proj.state_dict())
        block.ffn[0].load_state_dict(layer.ff[0].state_dict())
        block.ffn[3].load_state_dict(layer.ff[3].state_dict())
        for norm, other in (
            (block.attention_norm, layer.norm_sublayer1),
            (block.ffn_norm, layer.norm_sublayer3),
        ):
            norm.load_state_dict((other.batchnorm if params.norm == "batch" else other).state_dict())
    return theirs


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"scaling": "standard"},
        {"norm": "layer", "positions": "learnt"},
        {"pre_norm": False, "stride": 8, "patch": 12, "width": 64, "depth": 2},
    ],
)
def test_equals_transformers_with_copied_weights(settings: dict[str, object], training: bool) -> None:
    params = PatchTSTParams(**settings)  # type: ignore[arg-type]
    ours = PatchTST(params, ImuInput(250, 50.0)).train(training)
    theirs = reference(params, ours).train(training)
    imu = torch.randn(4, 250, 6, generator=torch.Generator().manual_seed(2))
    expected = theirs(imu).last_hidden_state  # (B, C, 1 + L, D)
    features = ours(imu, *ALL)
    # Both in float32, and attention and normalisation are fused differently.
    torch.testing.assert_close(features.pooled, expected[:, :, 0].reshape(4, -1), rtol=1e-5, atol=1e-5)
    tokens = expected[:, :, 1:].transpose(1, 2).reshape(4, expected.shape[2] - 1, -1)
    torch.testing.assert_close(features.tokens, tokens, rtol=1e-5, atol=1e-5)


def test_the_papers_shapes_and_times() -> None:
    encoder = PatchTST(PatchTSTParams(), ImuInput(250, 50.0))
    features = encoder(torch.randn(4, 250, 6), *ALL)
    assert features.tokens.shape == (4, 15, 768)
    assert features.pooled.shape == (4, 768)
    # 250 = 10 cut off + 15 patches of 16; the first spans samples 10 ... 25.
    torch.testing.assert_close(features.token_times, (10 + 7.5 + 16 * torch.arange(15)) / 50)


def test_channels_are_independent_and_a_lacking_one_is_zero() -> None:
    encoder = PatchTST(PatchTSTParams(), ImuInput(250, 50.0)).eval()
    imu = torch.randn(4, 250, 6)
    lacking = ALL[0].clone()
    lacking[:, 4] = False
    whole, part = encoder(imu, *ALL), encoder(imu, lacking, ALL[1])
    pooled_whole, pooled_part = whole.pooled.reshape(4, 6, -1), part.pooled.reshape(4, 6, -1)
    assert (pooled_part[:, 4] == 0).all()
    assert (part.tokens.reshape(4, 15, 6, -1)[:, :, 4] == 0).all()
    others = [0, 1, 2, 3, 5]
    torch.testing.assert_close(pooled_part[:, others], pooled_whole[:, others], rtol=1e-5, atol=1e-5)


def test_batch_statistics_leave_invalid_tokens_out() -> None:
    """As torch's own, given the valid tokens only: output, gradients, and what is kept for evaluation."""
    torch.manual_seed(0)
    ours, theirs = TokenBatchNorm(3), torch.nn.BatchNorm1d(3)
    for norm in (ours, theirs):
        torch.nn.init.uniform_(norm.weight, generator=torch.Generator().manual_seed(1))
    for seed in range(3):
        x = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(seed)) * 2 + 1
        valid = torch.rand(4, 5, generator=torch.Generator().manual_seed(seed)) < 0.6
        given, picked = torch.where(valid.unsqueeze(2), x, 1e4).requires_grad_(), x[valid].requires_grad_()
        y, expected = ours(given, valid), theirs(picked)
        # Sums in another order, in float32.
        torch.testing.assert_close(y[valid], expected, rtol=1e-5, atol=1e-5)
        assert (y[~valid] == 0).all()
        cotangent = torch.randn(expected.shape)
        y[valid].backward(cotangent)
        expected.backward(cotangent)
        assert given.grad is not None
        torch.testing.assert_close(given.grad[valid], picked.grad, rtol=1e-4, atol=1e-5)
        assert (given.grad[~valid] == 0).all()
    for name, buffer in ours.state_dict().items():
        torch.testing.assert_close(buffer, theirs.state_dict()[name], rtol=1e-5, atol=1e-6)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    # bfloat16 has 8 bits; float64 that was float32 on its way would be 1e-7 off.
    [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 2e-2)],
)
def test_batch_statistics_in_every_precision(dtype: torch.dtype, tolerance: float) -> None:
    ours, theirs = TokenBatchNorm(3).to(dtype), torch.nn.BatchNorm1d(3).double()
    generator = torch.Generator().manual_seed(0)
    x = (torch.randn(4, 5, 3, generator=generator, dtype=torch.float64) * 2 + 1).to(dtype)
    valid = torch.rand(4, 5, generator=generator) < 0.6
    found, expected = ours(x, valid), theirs(x[valid].double())
    assert found.dtype == dtype
    torch.testing.assert_close(found[valid].double(), expected, rtol=tolerance, atol=tolerance)
    for kept, expected_kept in ((ours.running_mean, theirs.running_mean), (ours.running_var, theirs.running_var)):
        assert kept is not None
        assert kept.dtype == dtype
        torch.testing.assert_close(kept.double(), expected_kept, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_invalid_tokens_may_be_anything(value: float) -> None:
    x = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    valid = torch.tensor([[True, True, False], [True, False, False]])
    plain, odd = TokenBatchNorm(4), TokenBatchNorm(4)
    with_odd = torch.where(valid.unsqueeze(2), x, value).requires_grad_()
    y = odd(with_odd, valid)
    y.sum().backward()
    torch.testing.assert_close(y, plain(x, valid), rtol=0, atol=0)  # the same operations on the same numbers
    torch.testing.assert_close(odd.state_dict(), plain.state_dict(), rtol=0, atol=0)
    assert with_odd.grad is not None
    assert with_odd.grad.isfinite().all()


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_valid_tokens_leave_what_is_kept(count: int) -> None:
    norm = TokenBatchNorm(4)
    norm(torch.randn(2, 3, 4), torch.ones(2, 3, dtype=torch.bool))
    before = {name: value.clone() for name, value in norm.state_dict().items() if name.startswith("running")}
    valid = torch.zeros(2, 3, dtype=torch.bool)
    valid[0, :count] = True
    assert (norm(torch.randn(2, 3, 4), valid) == 0).all()  # one token lies at its own mean; the bias is zero
    after = norm.state_dict()
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=0, atol=0)


def test_positions_have_the_scale_of_the_original() -> None:
    table = sincos_positions(16, 128)
    torch.testing.assert_close(table.std(), torch.tensor(0.1))
    torch.testing.assert_close(table.mean(), torch.tensor(0.0), rtol=0, atol=1e-6)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="16 samples is too short for patches of 16"):
        PatchTST(PatchTSTParams(), ImuInput(16, 50.0))
    with pytest.raises(ValueError, match="built for windows of 250 samples, found 200"):
        PatchTST(PatchTSTParams(), ImuInput(250, 50.0))(torch.zeros(4, 200, 6), ALL[0], ALL[1][:, :200])
    for settings in ({"norm": "group"}, {"scaling": "robust"}, {"positions": "rotary"}):
        with pytest.raises(ValueError, match="must be"):
            PatchTST(PatchTSTParams(**settings), ImuInput(250, 50.0))  # type: ignore[arg-type]


def test_the_mean_of_valid_tokens_can_be_pooled() -> None:
    torch.manual_seed(0)
    model = PatchTST(PatchTSTParams(width=8, depth=1, heads=2, pooling="mean"), ImuInput(250, 50.0)).eval()
    channels, samples = (mask.clone() for mask in ALL)
    samples[1, 120:] = False
    channels[2, 4] = False
    found = model(torch.randn(4, 250, 6) * samples[..., None] * channels[:, None], channels, samples)
    for window in range(4):
        expected = found.tokens[window][found.token_mask[window]].mean(0)
        torch.testing.assert_close(found.pooled[window], expected, rtol=1e-5, atol=1e-6)  # sums in another order
    assert (found.pooled[2].reshape(6, 8)[4] == 0).all()
    with pytest.raises(ValueError, match="pooling must be 'cls' or 'mean', found 'max'"):
        PatchTST(PatchTSTParams(pooling="max"), ImuInput(250, 50.0))
