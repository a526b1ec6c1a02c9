"""Pretrain an IMU encoder against video from Python, on simulated people: half a minute on two cores."""

import sys
from pathlib import Path

import lightning
import torch
from torch import Tensor

from datamodules.build.run import build
from datamodules.features.build import ViewSettings, build_features
from datamodules.pretraining import PretrainingDataModule
from datamodules.shards.reader import ShardSet
from datamodules.windows.settings import WindowSettings
from encoders.registry import build_video_encoder
from lightning_modules.pretraining import ImuPretraining


def pretrain(folder: Path, epochs: int) -> Path:
    """Pretrain in a folder; returns the checkpoint, which examples/features_of_an_array.py takes."""
    # Recordings -> windows with frames, in HDF5 shards. Any other source would do: "manifest", "utd_mhad", ...
    people = {"subjects": 4, "sessions_per_subject": 1, "session_s": 120, "placements": ["head"], "cameras": ["head"]}
    window = WindowSettings(duration_s=5.0, stride_s=2.5, frames=6, frame_size=32)
    print(build("simulator", people, folder / "shards", window, placement="head", camera="head", clocks="off"))
    shards = ShardSet.open(folder / "shards")

    # The frozen video encoder's features, computed once. Real work has weights: "pretrained", or a file.
    network = {"kwargs": {"patch_size": 8, "embed_dim": 64, "depth": 2, "num_heads": 2}, "grid_size": 2}
    video_encoder = build_video_encoder("vit", {"frame_size": 32, "weights": "random", **network}).eval()

    @torch.inference_mode()
    def encode(frames: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        features = video_encoder(frames, mask)
        return features.frame_tokens, features.pooled

    fingerprint = video_encoder.fingerprint()
    features = build_features(folder / f"features-{fingerprint[:8]}", shards, encode, fingerprint, ViewSettings())

    # Batches of IMU windows with the features of the same seconds; the loss brings the two together.
    data = PretrainingDataModule(shards, features, batch_size=16, views=2, validation_share=0.25)
    module = ImuPretraining(
        imu_encoder={"name": "cnn_transformer", "params": {"width": 64, "depth": 2, "heads": 2}},
        imu_input={"samples": window.samples, "rate_hz": window.imu_rate_hz},
        video_head={"name": "temporal", "params": {"width": 64, "depth": 1, "heads": 2}},
        frame_width=video_encoder.token_width,
        total_steps=epochs * data.steps_per_epoch,
    )
    trainer = lightning.Trainer(max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.fit(module, data)
    print({name: round(float(value), 3) for name, value in trainer.callback_metrics.items() if "validation" in name})
    trainer.save_checkpoint(folder / "encoder.ckpt")
    return folder / "encoder.ckpt"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: python {sys.argv[0]} FOLDER  (which shards and the encoder go into)")
    pretrain(Path(sys.argv[1]), epochs=20)
