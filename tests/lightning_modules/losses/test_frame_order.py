from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lightning_modules.losses.frame_order import FrameOrderLoss, draw_priorities, reorder


def window(B: int = 3, F: int = 6, D: int = 5) -> tuple[Tensor, ...]:
    """Tokens at the frames' times, so that nothing is interpolated."""
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(B, F, D, generator=generator, dtype=torch.float64),
        torch.arange(F, dtype=torch.float64) * 0.5,
        torch.ones(B, F, dtype=torch.bool),
        torch.randn(B, F, D, generator=generator, dtype=torch.float64),
        (torch.arange(F, dtype=torch.float64) * 0.5).expand(B, F).clone(),
        torch.ones(B, F, dtype=torch.bool),
    )


def drawn(frames: int, orders: int, seed: int = 0) -> Tensor:
    return draw_priorities(frames, orders, torch.Generator().manual_seed(seed))


@settings(max_examples=50, deadline=None)
@given(data=st.data(), frames=st.integers(2, 9), seed=st.integers(0, 99))
def test_orders_are_permutations_of_the_valid_frames(data: st.DataObject, frames: int, seed: int) -> None:
    valid = torch.tensor([data.draw(st.lists(st.booleans(), min_size=frames, max_size=frames)) for _ in range(2)])
    other = reorder(valid, drawn(frames, 7, seed))
    assert other.shape == (2, 7, frames)
    for row, mask in zip(other, valid, strict=True):
        places = mask.nonzero().flatten().tolist()
        assert row[0][mask].tolist() == places
        assert row[1][mask].tolist() == places[::-1]
        assert all(sorted(order[mask].tolist()) == places for order in row)


def test_each_order_is_as_likely_as_any_other() -> None:
    valid = torch.tensor([[True, False, True, True, False]])
    other = reorder(valid, drawn(5, 6002))[0, 2:][:, valid[0]]
    seen = [int((other == torch.tensor(p)).all(1).sum()) for p in itertools.permutations((0, 2, 3))]
    # 6000 draws of 6 orders: 1000 each, standard deviation 29; five of them.
    assert sum(seen) == 6000
    assert max(abs(count - 1000) for count in seen) < 145


def test_loss_is_the_cross_entropy_of_the_true_order() -> None:
    imu, times, mask, frames, frame_times, frame_mask = window()
    frame_mask[1, 2] = False
    priorities = drawn(6, 9)  # of which the fifth is the true order again
    unit = [x / x.norm(dim=2, keepdim=True) for x in (imu, frames)]
    losses = []
    for w in range(3):
        places = [i for i in range(6) if frame_mask[w, i]]
        scores: list[Tensor] = []
        for row in priorities.tolist():
            order = sorted(places, key=row.__getitem__)
            if scores and order == places:
                continue
            cosines = [unit[0][w, i] @ unit[1][w, j] for i, j in zip(places, order, strict=True)]
            scores.append(sum(cosines) / len(cosines) / 0.2)
        losses.append(torch.stack(scores).logsumexp(0) - scores[0])
    found = FrameOrderLoss(temperature=0.2)(imu, times, mask, frames, frame_times, frame_mask, priorities)
    # The temperature is a float32 parameter.
    torch.testing.assert_close(found, torch.stack(losses).mean(), rtol=1e-6, atol=0)


def test_known_values() -> None:
    """Frames that tell nothing leave chance; frames that tell everything leave nothing."""
    imu, *rest = window(B=1)
    times, mask, frames, frame_times, frame_mask = rest
    priorities = torch.cat([drawn(6, 2), torch.tensor([[2.0, 0, 1, 5, 3, 4], [1.0, 2, 0, 4, 5, 3]])])
    loss = FrameOrderLoss(temperature=0.05)
    alike = frames[:, :1].expand_as(frames)
    found = loss(imu, times, mask, alike, frame_times, frame_mask, priorities)
    assert found.item() == pytest.approx(math.log(4), rel=1e-6)
    eye = torch.eye(6, dtype=torch.float64).unsqueeze(0)
    told = loss(eye, times, mask, eye, frame_times, frame_mask, priorities)
    # The true order has a mean similarity of 1, the three others, without a fixed point, one of 0.
    assert told.item() == pytest.approx(math.log1p(3 * math.exp(-20)), rel=1e-4)


def test_an_order_that_came_out_true_is_no_wrong_answer() -> None:
    arguments = window()
    priorities = drawn(6, 4)
    twice = torch.cat([priorities, priorities[:1]])
    loss = FrameOrderLoss()
    assert torch.equal(loss(*arguments, priorities), loss(*arguments, twice))


def test_windows_with_few_frames_say_nothing() -> None:
    imu, times, mask, frames, frame_times, frame_mask = window()
    loss, priorities = FrameOrderLoss(), drawn(6, 8)
    frame_mask[0, 3:] = False
    mask[1, 3:] = False  # frames that meet no token count as little
    frame_times[0, 4] = math.nan
    imu.requires_grad_()
    frames.requires_grad_()
    found = loss(imu, times, mask, frames, frame_times, frame_mask, priorities)
    only = loss(imu[2:], times, mask[2:], frames[2:], frame_times[2:], frame_mask[2:], priorities)
    assert found.item() == pytest.approx(only.item(), rel=1e-12)
    found.backward()
    assert imu.grad is not None
    assert frames.grad is not None
    assert imu.grad[:2].count_nonzero() == frames.grad[:2].count_nonzero() == 0
    assert imu.grad[2].count_nonzero() > 0
    nothing = loss(imu[:2], times, mask[:2], frames[:2], frame_times[:2], frame_mask[:2], priorities)
    assert nothing.item() == 0


def test_gradients_in_float64() -> None:
    imu, times, mask, frames, frame_times, frame_mask = window(B=2, F=5, D=3)
    frame_mask[0, 1] = False
    loss, priorities = FrameOrderLoss().double(), drawn(5, 6)
    frame_times = frame_times + 0.1  # between tokens
    assert torch.autograd.gradcheck(
        lambda x, y, scale: torch.func.functional_call(
            loss, {"log_scale": scale}, (x, times, mask, y, frame_times, frame_mask, priorities)
        ),
        (imu.requires_grad_(), frames.requires_grad_(), loss.log_scale.detach().requires_grad_()),
    )


def test_descent_brings_time_into_the_tokens() -> None:
    """The frames are a line that is walked once; tokens that start at random end up walking it too."""
    torch.manual_seed(0)
    angle = torch.linspace(0, 2, 8)
    frames = torch.stack([angle.cos(), angle.sin()], 1).expand(4, 8, 2)
    times = torch.arange(8.0)
    tokens = torch.randn(4, 8, 2, requires_grad=True)
    mask = torch.ones(4, 8, dtype=torch.bool)
    loss = FrameOrderLoss()
    optimiser = torch.optim.Adam([tokens], 0.05)
    for step in range(200):
        optimiser.zero_grad()
        value = loss(tokens, times, mask, frames, times.expand(4, 8), mask, drawn(8, 32, step))
        value.backward()
        optimiser.step()
    assert value.item() < 1  # chance is log 32 = 3.5
    found = torch.atan2(tokens[..., 1], tokens[..., 0]).detach()
    for row in found:
        assert torch.corrcoef(torch.stack([row, angle]))[0, 1] > 0.8


def test_one_order_is_no_choice() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        draw_priorities(5, 1, torch.Generator())
