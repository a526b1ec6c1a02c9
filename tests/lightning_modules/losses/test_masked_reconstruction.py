from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from encoders.contract import ImuEncoder, ImuInput
from encoders.imu.cnn_transformer import CnnTransformer, CnnTransformerParams
from encoders.imu.patchtst import PatchTST, PatchTSTParams
from lightning_modules.losses.masked_reconstruction import TokenDecoder, mask_patches, masked_reconstruction_loss


def whole(B: int, T: int, C: int) -> tuple[Tensor, Tensor]:
    return torch.ones(B, T, dtype=torch.bool), torch.ones(B, C, dtype=torch.bool)


@settings(max_examples=40, deadline=None)
@given(
    T=st.integers(4, 60),
    patch=st.integers(1, 12),
    share=st.floats(0.05, 0.95),
    seed=st.integers(0, 99),
)
def test_whole_patches_are_hidden_and_their_share_is_kept(T: int, patch: int, share: float, seed: int) -> None:
    patch = min(patch, T)
    generator = torch.Generator().manual_seed(seed)
    imu = torch.rand(3, T, 2, generator=generator) + 1  # nothing is zero by itself
    masked, hidden = mask_patches(imu, *whole(3, T, 2), share, patch, generator)
    assert torch.equal(masked == 0, hidden)
    assert torch.equal(masked[~hidden], imu[~hidden])
    P = T // patch
    first = T - P * patch
    assert not hidden[:, :first].any()
    patches = hidden[:, first:].reshape(3, P, patch, 2)
    assert torch.equal(patches.any(2), patches.all(2))
    count = patches.any(2).sum(1)
    assert (count == min(round(torch.tensor(share * P).float().item()), P - 1)).all()


def test_the_papers_share_hides_six_of_fifteen_patches_of_each_channel_on_its_own() -> None:
    generator = torch.Generator().manual_seed(0)
    _, hidden = mask_patches(torch.ones(200, 250, 6), *whole(200, 250, 6), 0.4, 16, generator)
    by_patch = hidden[:, 10:].reshape(200, 15, 16, 6)[:, :, 0]  # PatchTST cuts 10 samples off the start
    assert (by_patch.sum(1) == 6).all()
    assert not torch.equal(by_patch[:, :, 0], by_patch[:, :, 1])
    # Every patch as often as any other: 1200 draws of 0.4, standard deviation 0.014.
    assert (by_patch.float().mean((0, 2)) - 0.4).abs().max() < 0.06
    # Channels on their own: two of them share 0.16 of their patches, 3000 draws.
    assert ((by_patch[:, :, 0] & by_patch[:, :, 1]).float().mean() - 0.16).abs() < 0.04


def test_what_was_not_measured_is_neither_hidden_nor_counted() -> None:
    sample_mask, channel_mask = whole(2, 40, 3)
    sample_mask[0, 20:] = False  # 5 patches of 4 are left
    sample_mask[1, 1:3] = False  # a gap inside a patch
    channel_mask[1, 2] = False
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        _, hidden = mask_patches(torch.ones(2, 40, 3), sample_mask, channel_mask, 0.4, 4, generator)
        assert hidden[0].sum(0).tolist() == [8, 8, 8]  # 2 of 5
        assert not (hidden & ~(sample_mask[:, :, None] & channel_mask[:, None])).any()
        assert hidden[1, :, 0].sum().item() in (16, 14)  # 4 of 10, the gap among them or not
    nothing = torch.zeros_like(sample_mask)
    assert not mask_patches(torch.ones(2, 40, 3), nothing, channel_mask, 0.9, 4)[1].any()


def test_the_draw_is_the_generators() -> None:
    imu, masks = torch.ones(2, 64, 3), whole(2, 64, 3)
    first, again, other = (
        mask_patches(imu, *masks, 0.5, 8, torch.Generator().manual_seed(seed))[1] for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_arguments_of_the_mask_are_checked() -> None:
    for share in (0.0, 1.0):
        with pytest.raises(ValueError, match="share of hidden patches"):
            mask_patches(torch.ones(1, 8, 1), *whole(1, 8, 1), share, 2)
    with pytest.raises(ValueError, match=r"1 ... 8 samples .*, found 9"):
        mask_patches(torch.ones(1, 8, 1), *whole(1, 8, 1), 0.4, 9)


def test_loss_is_the_mean_square_over_what_is_hidden() -> None:
    target, prediction = torch.zeros(2, 3, 1), torch.tensor([1.0, 2.0, torch.nan, 4.0, 5.0, torch.inf]).reshape(2, 3, 1)
    hidden = torch.tensor([1, 0, 0, 1, 1, 0]).bool().reshape(2, 3, 1)
    prediction.requires_grad_()
    loss = masked_reconstruction_loss(prediction, target, hidden)
    loss.backward()
    assert loss.item() == pytest.approx((1 + 16 + 25) / 3)
    assert prediction.grad is not None
    torch.testing.assert_close(prediction.grad.flatten(), torch.tensor([1.0, 0, 0, 4, 5, 0]) * 2 / 3)
    assert masked_reconstruction_loss(prediction, target, torch.zeros_like(hidden)).item() == 0
    assert masked_reconstruction_loss(target.bfloat16(), target, hidden).dtype == torch.float32
    with pytest.raises(ValueError, match="must have one shape"):
        masked_reconstruction_loss(torch.zeros(2, 3, 1), torch.zeros(2, 3, 2), hidden)


def test_gradients_in_float64() -> None:
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(2, 12, 4, dtype=torch.float64, generator=generator)
    _, hidden = mask_patches(target, *whole(2, 12, 4), 0.5, 3, generator)
    decoder = TokenDecoder(token_width=6, channels=4, step=3, rate_hz=10.0, groups=2).double()
    tokens = torch.randn(2, 4, 6, dtype=torch.float64, generator=generator).requires_grad_()
    times = (torch.arange(4) * 3 + 1) / 10

    def value(tokens: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        prediction = torch.func.functional_call(
            decoder, {"samples.weight": weight, "samples.bias": bias}, (tokens, times, 12)
        )[0]
        return masked_reconstruction_loss(prediction, target, hidden)

    weights = [p.detach().clone().requires_grad_() for p in decoder.parameters()]
    assert torch.autograd.gradcheck(value, (tokens, *weights))


@pytest.mark.parametrize(("step", "first"), [(16, 17.5), (4, 1.5), (4, 2.0), (5, 2.0), (1, 0.0)])
@pytest.mark.parametrize("rate_hz", [50.0, 30.0, 100 / 3])
def test_each_sample_comes_from_the_token_nearest_to_it(step: int, first: float, rate_hz: float) -> None:
    """The decoder's samples say which token and which place in it they come from."""
    L, T = 12, 12 * step + 25
    decoder = TokenDecoder(token_width=1, channels=1, step=step, rate_hz=rate_hz)
    with torch.no_grad():
        decoder.samples.weight.fill_(1)
        decoder.samples.bias.copy_(torch.arange(step) / 1000)
    centres = first + step * torch.arange(L)
    tokens = torch.arange(1.0, L + 1).reshape(1, L, 1)
    found, predicted = decoder(tokens, (centres / rate_hz).float(), T)
    i = torch.arange(T)
    distance = (i[:, None] - centres[None]).abs()
    assert predicted.sum() == L * step
    assert predicted[: L * step + 10].sum() == L * step  # one run, no gaps
    assert (distance.amin(1)[predicted] <= step / 2).all()
    assert (found[0, ~predicted, 0] == 0).all()
    values = found[0, predicted, 0]
    token, place = values.round().long() - 1, ((values - values.round()) * 1000).round().long()
    torch.testing.assert_close(distance[predicted].gather(1, token[:, None])[:, 0], distance[predicted].amin(1))
    # In order: token 0's first to last sample, then token 1's.
    assert torch.equal(token * step + place, torch.arange(L * step))


def test_tokens_far_apart_leave_samples_out_and_tokens_close_share_them() -> None:
    decoder = TokenDecoder(2, 3, step=4, rate_hz=1.0)
    _, predicted = decoder(torch.ones(1, 2, 2), torch.tensor([1.5, 11.5]), 16)
    assert predicted.nonzero().flatten().tolist() == [0, 1, 2, 3, 10, 11, 12, 13]
    found, predicted = decoder(torch.ones(1, 3, 2), torch.tensor([1.5, 3.5, 5.5]), 8)
    assert predicted.all()
    assert found.shape == (1, 8, 3)


def test_groups_predict_their_own_channels_with_one_map() -> None:
    decoder = TokenDecoder(token_width=6, channels=3, step=2, rate_hz=1.0, groups=3)
    assert decoder.samples.weight.shape == (2, 2)
    tokens = torch.randn(1, 4, 6)
    times = torch.arange(4) * 2 + 0.5
    found, _ = decoder(tokens, times, 8)
    expected = torch.stack([decoder.samples(tokens[0, :, 2 * c : 2 * c + 2]).flatten() for c in range(3)], 1)
    torch.testing.assert_close(found[0], expected)
    changed = tokens.clone()
    changed[..., 2:4] = 9
    assert torch.equal(decoder(changed, times, 8)[0][..., [0, 2]], found[..., [0, 2]])
    with pytest.raises(ValueError, match="4 groups must divide"):
        TokenDecoder(6, 3, 2, 1.0, groups=4)
    with pytest.raises(ValueError, match="at least one sample"):
        TokenDecoder(6, 3, 0, 1.0)


def test_loss_and_head_equal_transformers() -> None:
    patchtst = pytest.importorskip("transformers.models.patchtst.modeling_patchtst")
    config = patchtst.PatchTSTConfig(num_input_channels=6, patch_length=16, d_model=8, use_cls_token=True)
    head = patchtst.PatchTSTMaskPretrainHead(config).eval()
    decoder = TokenDecoder(48, 6, 16, 50.0, groups=6)
    decoder.samples.load_state_dict(head.linear.state_dict())
    generator = torch.Generator().manual_seed(0)
    imu = torch.randn(3, 250, 6, generator=generator)
    _, hidden = mask_patches(imu, *whole(3, 250, 6), 0.4, 16, generator)
    theirs = torch.randn(3, 6, 16, 8, generator=generator)  # a CLS token and 15 patches a channel
    tokens = theirs[:, :, 1:].transpose(1, 2).reshape(3, 15, 48)
    prediction, predicted = decoder(tokens, (10 + 7.5 + 16 * torch.arange(15)) / 50, 250)
    assert predicted.nonzero().flatten().tolist() == list(range(10, 250))
    patches = imu[:, 10:].reshape(3, 15, 16, 6).permute(0, 3, 1, 2)
    masked = hidden[:, 10:].reshape(3, 15, 16, 6).permute(0, 3, 1, 2)[..., 0].float()
    expected = ((head(theirs) - patches).square().mean(-1) * masked).sum() / masked.sum()
    torch.testing.assert_close(masked_reconstruction_loss(prediction, imu, hidden), expected)


def encoder_of(name: str, window: ImuInput) -> ImuEncoder:
    if name == "patchtst":
        return PatchTST(PatchTSTParams(patch=8, stride=8, width=16, depth=1, heads=2, ffn_width=32), window)
    params = CnnTransformerParams(width=32, depth=1, heads=2, stem_channels=[16, 32], dropout=0.0)
    return CnnTransformer(params, window)


@pytest.mark.parametrize(("name", "groups", "step"), [("patchtst", 6, 8), ("cnn_transformer", 1, 4)])
def test_training_paints_in_what_is_hidden(name: str, groups: int, step: int) -> None:
    """Sinusoids of one rhythm and unknown phase: what is hidden follows from what is not."""
    torch.manual_seed(0)
    window = ImuInput(66, 20.0)
    encoder = encoder_of(name, window)
    decoder = TokenDecoder.for_encoder(encoder, window, groups)
    assert encoder.training
    assert decoder.step == step
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], 1e-2)
    generator = torch.Generator().manual_seed(1)
    seconds = torch.arange(66)[None, :, None] / 20
    values = []
    for _ in range(60):
        imu = torch.sin(2 * torch.pi * (seconds + torch.rand(16, 1, 1, generator=generator)) + torch.arange(6.0))
        masked, hidden = mask_patches(imu, *whole(16, 66, 6), 0.4, 8, generator)
        features = encoder(masked, *whole(16, 66, 6)[::-1])
        prediction, predicted = decoder(features.tokens, features.token_times, 66)
        assert not (hidden & ~predicted[:, None]).any()
        loss = masked_reconstruction_loss(prediction, imu, hidden)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values.append(loss.item())
    # A mean square of 0.5 is what painting zeros gets.
    assert sum(values[-10:]) / 10 < 0.35
