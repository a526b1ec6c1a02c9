from __future__ import annotations

from pathlib import Path

import lightning
import pytest
import torch
from torch.utils.data import DataLoader

from encoders.registry import build_video_encoder
from lightning_modules.masked_video import MaskedVideoPretraining, patchify, random_visible

VIT = {"frame_size": 32, "kwargs": {"embed_dim": 48, "depth": 2, "num_heads": 4, "patch_size": 8}}


def moving_squares(count: int, seed: int = 0) -> torch.Tensor:
    """Pairs (count, 2, 3, 32, 32) of a bright square on a dark ground, and a little further right."""
    generator = torch.Generator().manual_seed(seed)
    frames = torch.full((count, 2, 3, 32, 32), 20, dtype=torch.uint8)
    for pair in frames:
        x, y = torch.randint(0, 16, (2,), generator=generator).tolist()
        for step, frame in enumerate(pair):
            frame[:, y : y + 12, x + 4 * step : x + 4 * step + 12] = 220
    return frames


def test_patchify_orders_patches_as_the_transformer_does() -> None:
    module = MaskedVideoPretraining(VIT, {})
    images = torch.randn(2, 3, 32, 32)
    embed = module.backbone.patch_embed
    flat = patchify(images, (8, 8)) @ embed.proj.weight.flatten(1).T + embed.proj.bias
    torch.testing.assert_close(flat, embed(images), rtol=1e-4, atol=1e-5)


def test_visible_patches_are_distinct() -> None:
    indices = random_visible(50, 16, 5, torch.device("cpu"))
    assert indices.shape == (50, 5)
    assert all(len(set(row)) == 5 for row in indices.tolist())


@pytest.mark.parametrize("more", [{}, {"dynamic_img_size": True}, {"class_token": False, "global_pool": "avg"}])
def test_with_every_patch_visible_the_encoder_is_timms(more: dict[str, object]) -> None:
    module = MaskedVideoPretraining({**VIT, "kwargs": {**VIT["kwargs"], **more}}, {}).eval()  # type: ignore[dict-item]
    images = torch.randn(2, 3, 32, 32)
    prefix, patches = module.encode(images, torch.arange(16).expand(2, 16))
    torch.testing.assert_close(torch.cat([prefix, patches], 1), module.backbone.forward_features(images))


def test_hidden_pixels_are_not_seen() -> None:
    module = MaskedVideoPretraining(VIT, {}).eval()
    images, indices = torch.randn(2, 3, 32, 32), torch.tensor([[0, 5, 6], [3, 4, 15]])
    shown = torch.zeros(2, 16, 1).scatter(1, indices.unsqueeze(2), 1.0)
    hidden = shown.reshape(2, 1, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3)
    other = torch.where(hidden > 0, images, 9.0)
    assert torch.equal(module.encode(images, indices)[1], module.encode(other, indices)[1])


@pytest.mark.parametrize(("normalised", "steps"), [pytest.param(False, 300, marks=pytest.mark.slow), (True, 100)])
def test_learns_to_paint_and_to_tell_what_moves(normalised: bool, steps: int) -> None:
    lightning.seed_everything(0, verbose=False)
    params = {
        "steps": steps,
        "warmup": 10,
        "learning_rate": 4e-3,
        "mask_share": 0.6,
        "max_shift": 0.0,
        "max_zoom": 1.0,
        "normalise_patches": normalised,
        "difference_everywhere": False,
    }
    module = MaskedVideoPretraining(VIT, params)
    held_out = moving_squares(64, seed=1)
    indices = random_visible(64, 16, module.visible, torch.device("cpu"))

    @torch.no_grad()
    def measure() -> dict[str, float]:
        module.eval()
        now, later = module._prepared(held_out)
        return {key: float(value) for key, value in module.losses(now, later, indices).items()}

    before = measure()
    module.train()
    trainer = lightning.Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(moving_squares(64 * steps), batch_size=64))  # type: ignore[arg-type]
    after = measure()
    assert after["reconstruction"] < 0.5 * before["reconstruction"]
    if not normalised:
        # 1 is what painting no difference gets; another seed had 0.62, and 0.23 after 800 steps.
        assert after["difference"] < 0.8


def test_saved_backbone_is_what_video_vit_loads(tmp_path: Path) -> None:
    settings = {**VIT, "mean": [0.1] * 3, "std": [0.2] * 3}
    module = MaskedVideoPretraining(settings, {"difference_weight": 0.0}).eval()
    path = module.save_backbone(tmp_path / "weights" / "vit.safetensors")
    assert [p.name for p in path.parent.iterdir()] == ["vit.safetensors"]  # nothing half-written is left
    encoder = build_video_encoder("vit", {**settings, "weights": str(path), "pooling": "cls"})
    frames = moving_squares(2)
    expected = module.backbone.forward_features((frames[:, 0].float() / 255 - 0.1) / 0.2)[:, 0]
    found = encoder(frames[:, :1], torch.ones(2, 1, dtype=torch.bool)).pooled
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_single_frames_train_without_differences() -> None:
    module = MaskedVideoPretraining(VIT, {"difference_weight": 0.0}).train()
    now, later = module._prepared(moving_squares(4)[:, 0])
    assert later is None
    losses = module.losses(now, later, random_visible(4, 16, module.visible, now.device))
    assert losses.keys() == {"reconstruction"}


def test_bad_input_and_settings_are_refused() -> None:
    module = MaskedVideoPretraining(VIT, {})
    with pytest.raises(ValueError, match="needs pairs of frames"):
        module._prepared(moving_squares(2)[:, 0])
    with pytest.raises(ValueError, match=r"uint8 \(N, 3, 32, 32\).*found torch\.float32"):
        module._prepared(moving_squares(2).float())
    with pytest.raises(ValueError, match="mask_share must lie between 0 and 1"):
        MaskedVideoPretraining(VIT, {"mask_share": 1.5})
    with pytest.raises(ValueError, match="did you mean 'mask_share'"):
        MaskedVideoPretraining(VIT, {"maskshare": 0.5})
    with pytest.raises(ValueError, match="can't be cut into patches"):
        MaskedVideoPretraining({**VIT, "frame_size": 36}, {})
    with pytest.raises(ValueError, match="needs timm's VisionTransformer"):
        MaskedVideoPretraining({"model": "eva02_tiny_patch14_224", "frame_size": 28}, {})


def test_frame_and_later_frame_are_moved_alike() -> None:
    module = MaskedVideoPretraining(VIT, {}).train()
    still = moving_squares(4)[:, :1].expand(-1, 2, -1, -1, -1)
    torch.manual_seed(3)
    now, later = module._prepared(still)
    assert later is not None
    assert torch.equal(now, later)
    assert not torch.allclose(now, module.eval()._prepared(still)[0])


def test_shift_and_zoom_do_not_depend_on_the_number_of_threads() -> None:
    module = MaskedVideoPretraining(VIT, {}).train()
    frames, before = moving_squares(5), torch.get_num_threads()  # 30 channels
    found = []
    try:
        for threads in (1, 2, 4, 7):
            torch.set_num_threads(threads)
            torch.manual_seed(3)
            found.append(module._prepared(frames)[0])
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(found[0], other) for other in found[1:])


def test_difference_is_told_for_all_patches_or_for_the_masked_ones() -> None:
    module = MaskedVideoPretraining(VIT, {"difference_everywhere": False}).eval()
    everywhere = MaskedVideoPretraining(VIT, {}).eval()
    everywhere.load_state_dict(module.state_dict())
    now, later = module._prepared(moving_squares(2))
    assert later is not None
    indices = torch.arange(module.visible).expand(2, -1)
    with torch.no_grad():
        painted = module.decoder(*module.encode(now, indices), indices)[..., module.values :]
        change = patchify(later - now, (8, 8))
        errors = (painted - change / change.square().mean().sqrt()).square().mean(2)
        masked, whole = (m.losses(now, later, indices)["difference"] for m in (module, everywhere))
    torch.testing.assert_close(masked, errors[:, module.visible :].mean())
    torch.testing.assert_close(whole, errors.mean())


def test_a_processors_attention_gives_the_losses_of_torchs() -> None:
    module = MaskedVideoPretraining(VIT, {}).eval()
    pixels, indices = torch.randn(2, 2, 3, 32, 32), random_visible(2, 16, 4, torch.device("cpu"))
    fused = module.losses(pixels[0], pixels[1], indices)
    module.on_fit_start()
    assert not any(getattr(each, "fused_attn", False) for each in module.modules())
    # The same sums in another order: float32 keeps seven digits.
    torch.testing.assert_close(module.losses(pixels[0], pixels[1], indices), fused, rtol=1e-5, atol=1e-6)


def test_gradients_are_the_same_each_time_on_two_threads() -> None:
    torch.manual_seed(0)
    model = MaskedVideoPretraining(VIT, {"mask_share": 0.5, "difference_weight": 0.0})
    pixels, threads = torch.rand(256, 3, 32, 32), torch.get_num_threads()
    found = []
    try:
        torch.set_num_threads(2)
        for _ in range(4):
            model.zero_grad()
            torch.manual_seed(1)
            indices = random_visible(256, model.patches, model.visible, pixels.device)
            model.losses(pixels, None, indices)["reconstruction"].backward()
            found.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    finally:
        torch.set_num_threads(threads)
    assert found[0]
    for other in found[1:]:
        assert all(torch.equal(found[0][name], other[name]) for name in found[0])
