from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from encoders.layers.masking import MaskedGroupNorm, masked_max, masked_mean
from encoders.layers.rotary import Rotary, rotate
from encoders.layers.transformer import TimedTransformer


@settings(max_examples=25, deadline=None)
@given(shift=st.floats(-1e6, 1e6), scale=st.floats(0.01, 10))
def test_logits_depend_on_differences_in_time_only(shift: float, scale: float) -> None:
    rotary = Rotary(16, 0.5, 40.0)
    q, k = torch.randn(2, 3, 7, 16, dtype=torch.float64), torch.randn(2, 3, 7, 16, dtype=torch.float64)
    times = torch.rand(2, 7, dtype=torch.float64).cumsum(1) * scale

    def logits(t: torch.Tensor) -> torch.Tensor:
        rotation = rotary(t)
        return rotate(q, rotation) @ rotate(k, rotation).transpose(2, 3)

    # A float64 near 1e6 s is exact to 1e-10 s: 2 pi / 0.5 s of that, on logits of some tens.
    torch.testing.assert_close(logits(times + shift), logits(times), rtol=0, atol=1e-6)


def test_rotation_keeps_lengths_and_turns_once_a_period() -> None:
    rotary = Rotary(2 * 4, 0.5, 4.0)
    x = torch.randn(1, 1, 5, 8, dtype=torch.float64)
    turned = rotate(x, rotary(torch.rand(5, dtype=torch.float64)))
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    # All periods (0.5, 1, 2 and 4 s) divide 4 s; they are stored in float32.
    torch.testing.assert_close(rotate(x, rotary(torch.full((5,), 4.0).double())), x, rtol=0, atol=1e-5)


def test_bad_widths_and_periods_are_refused() -> None:
    with pytest.raises(ValueError, match="even head width, found 7"):
        Rotary(7, 0.5, 40.0)
    with pytest.raises(ValueError, match=r"found 2\.0 and 1\.0"):
        Rotary(8, 2.0, 1.0)
    with pytest.raises(ValueError, match="multiple of twice the 3 heads"):
        TimedTransformer(8, 1, 3, 2.0, 0.0, 0.5, 40.0)


def test_transformer_is_blind_to_invalid_tokens_and_to_the_origin_of_time() -> None:
    torch.manual_seed(0)
    model = TimedTransformer(16, 2, 2, 2.0, 0.0, 0.5, 40.0).eval()
    x, times = torch.randn(2, 6, 16), torch.arange(6.0) * 0.1
    mask = torch.tensor([[True] * 6, [True, False, True, True, False, False]])
    y = model(x, times, mask)
    assert torch.equal(model(torch.where(mask.unsqueeze(2), x, 1e4), times, mask), y)
    assert (y[~mask] == 0).all()
    torch.testing.assert_close(model(x, times + 3.0, mask), y, rtol=1e-4, atol=1e-5)  # float32 times
    assert not torch.allclose(model(x, times * 2, mask)[0], y[0], atol=1e-3)


def test_pooling_matches_each_rows_own_numbers() -> None:
    x = torch.randn(3, 5, 4) - 10  # all negative: a zero that leaks into the maximum shows
    mask = torch.tensor([[True] * 5, [False, True, True, False, False], [False] * 5])
    torch.testing.assert_close(masked_mean(x, mask)[1], x[1, 1:3].mean(0))
    torch.testing.assert_close(masked_max(x, mask)[1], x[1, 1:3].amax(0))
    assert (masked_mean(x, mask)[2] == 0).all()
    assert (masked_max(x, mask)[2] == 0).all()


def test_group_norm_equals_torchs_on_the_valid_part() -> None:
    ours, theirs = MaskedGroupNorm(2, 8), torch.nn.GroupNorm(2, 8)
    x = torch.randn(3, 8, 20)
    mask = torch.arange(20).expand(3, 20) < 13
    torch.testing.assert_close(ours(x, mask)[..., :13], theirs(x[..., :13]), rtol=1e-5, atol=1e-5)
