from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from encoders.layers.attention import attend
from encoders.layers.dropout import Dropout, draw_as_torch, dropout
from encoders.layers.transformer import RotaryAttention


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.9])
def test_drops_at_its_rate_and_keeps_the_mean(rate: float) -> None:
    torch.manual_seed(0)
    count = 999_999  # no multiple of the four values that share a draw
    y = dropout(torch.ones(count), rate)
    # Five standard deviations of a binomial share, and what the rounding to 2^-16 may add.
    tolerance = 5 * math.sqrt(rate * (1 - rate) / count) + 2**-17
    assert float((y == 0).float().mean()) == pytest.approx(rate, abs=tolerance)
    assert float(y.double().mean()) == pytest.approx(1, abs=tolerance / (1 - rate))
    assert len(y.unique()) == 2


def test_places_are_independent() -> None:
    torch.manual_seed(0)
    kept = (dropout(torch.ones(1 << 20), 0.5) > 0).float() - 0.5
    for apart in (1, 2, 3, 4, 8):  # the four values of one draw, and those of the next
        correlation = 4 * float((kept[apart:] * kept[:-apart]).mean())
        assert abs(correlation) < 5 / math.sqrt(len(kept)), apart  # five standard deviations


def test_ends_of_the_range() -> None:
    x = torch.randn(5, 7)
    assert torch.equal(dropout(x, 0.0), x)
    assert torch.equal(dropout(x, 1.0), torch.zeros(5, 7))


def test_is_a_function_of_the_seed_alone_for_any_number_of_threads() -> None:
    x, threads = torch.ones(300, 500), torch.get_num_threads()
    found = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            torch.manual_seed(3)
            found.append(dropout(x, 0.2))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*found)
    assert not torch.equal(dropout(x, 0.2), found[0])


def test_gradients_pass_where_values_stay() -> None:
    torch.manual_seed(0)
    x = torch.ones(40, 50, requires_grad=True)
    y = dropout(x, 0.25)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, y.detach())


def test_evaluation_and_bfloat16() -> None:
    layer = Dropout(0.5)
    x = torch.randn(8, 9, dtype=torch.bfloat16)
    assert layer.train()(x).dtype == torch.bfloat16
    assert layer.eval()(x) is x


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("rate", [2**-16, 0.1, 0.5, 1 - 2**-16])
def test_values_stay_whose_sixteen_bits_reach_the_rate(rate: float, dtype: torch.dtype) -> None:
    x = torch.randn(401, 3, dtype=dtype)
    torch.manual_seed(5)
    found = dropout(x, rate)
    torch.manual_seed(5)
    draws = torch.randint(-(1 << 63), (1 << 63) - 1, ((x.numel() + 3) // 4,)).view(torch.int16)[: x.numel()]
    stays = draws.view(x.shape).int() + 2**15 >= round(rate * 2**16)
    scale = torch.tensor(2**16 / (2**16 - round(rate * 2**16)), dtype=torch.float64).to(dtype)
    assert torch.equal(found, torch.where(stays, x * scale, 0))


def test_windows_side_by_side_drop_different_values() -> None:
    y = torch.func.vmap(lambda x: dropout(x, 0.5), randomness="different")(torch.ones(2, 60))
    assert not torch.equal(y[0], y[1])


@pytest.mark.parametrize("rate", [0.0, 1e-4])
def test_attention_is_torchs_where_almost_nothing_is_dropped(rate: float) -> None:
    torch.manual_seed(1)
    q, k, v = torch.randn(3, 4, 2, 5, 8)
    keys = torch.ones(4, 1, 1, 5, dtype=torch.bool)
    keys[0, ..., 3:] = False
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=keys)
    # 200 weights: none is dropped with this seed, and the others are scaled by 1.0001.
    torch.testing.assert_close(attend(q, k, v, keys, rate), expected, rtol=3e-4, atol=3e-5)


def test_attention_ignores_what_the_mask_leaves_out() -> None:
    torch.manual_seed(1)
    q, k, v = torch.randn(3, 4, 2, 5, 8)
    keys = torch.ones(4, 1, 1, 5, dtype=torch.bool)
    keys[..., 2:] = False
    found = []
    for other in (0.0, 1e3):
        k[..., 2:, :], v[..., 2:, :] = other, other
        torch.manual_seed(2)
        found.append(attend(q, k, v, keys, 0.3))
    assert torch.equal(*found)


def test_draws_as_torch_does_where_it_is_asked_to() -> None:
    layer, attention = Dropout(0.5), RotaryAttention(8, 2, 0.5)
    draw_as_torch(torch.nn.ModuleDict({"deep": torch.nn.Sequential(layer, attention)}).train())
    x, keys, angle = torch.randn(3, 4, 8), torch.ones(3, 1, 1, 4, dtype=torch.bool), torch.zeros(3, 1, 4, 2)
    rotation = (angle.cos(), angle.sin())
    torch.manual_seed(4)
    dropped, attended = layer(x), attention(x, rotation, keys)
    torch.manual_seed(4)
    assert torch.equal(dropped, F.dropout(x, 0.5))
    q, k, v = attention.qkv(x).reshape(3, 4, 3, 2, 4).permute(2, 0, 3, 1, 4)
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=keys, dropout_p=0.5)
    # No token is turned, so that this is torch's attention; products may be summed in another order.
    expected = attention.output(mixed.transpose(1, 2).reshape(3, 4, 8))
    torch.testing.assert_close(attended, expected, rtol=1e-5, atol=1e-6)
