"""Benchmarks that need a GPU: the ViT against the card's own peak, and the share of time that reading keeps it busy.

    python -m benchmarks.gpu [--folder data/bench] [--runs 5] [--device cuda]

Each rate stands beside an upper limit, in turns. The frozen ViT's floating-point operations per second stand beside
those of a dense bfloat16 product. Training fed by the loader stands beside the same steps with one batch that is
already on the device; their ratio is the share of time that the device is busy. The time that the loop waits for the
next batch is measured too. ``make bench`` runs this if there is a GPU; another device (``--device cpu``) tries the
code.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import torch
from lightning.fabric.utilities import move_data_to_device
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import data, training
from benchmarks.peers.protocol import FRAMES, SIZE
from benchmarks.results import ROOT
from datamodules.features.cache import FeatureCache
from datamodules.pretraining import PretrainingDataModule
from datamodules.sampling.loader import Batch
from datamodules.shards.reader import ShardSet
from encoders.contract import VideoEncoder
from experiments.artifacts.video_encoder import open_video_encoder
from experiments.runtime.training_bar import quiet
from experiments.training.data import make_data_module
from experiments.training.module import make_module

POOLING = "video_encoder.params.pooling=mean"  # 768 features per frame from ViT-B/16, as in the data of `make bench`
_BEFORE = 16  # steps before the clock starts; as many batches may have been read ahead


def measure(
    folder: Path, device: torch.device, video_encoder: str, runs: int, small: bool = False
) -> list[dict[str, Any]]:
    """Measure rates run by run: ``case``, ``ours``, ``most``, and ``waiting``, the share of waiting for the loader.

    Args:
        folder: folder of the data of ``make bench``; missing data is made.
        device: device to compute on.
        video_encoder: a timm model whose features are 768 wide.
        runs: number of runs of each case.
        small: use only a few windows, to try the code.
    """
    windows, clips = (600, 64) if small else (20_000, 640)
    data.make(folder, windows, clips)
    steps, batch, live_batch = (2, 16, 4) if small else (50, 256, 32)
    jpeg, features = folder / "ours" / "jpeg", folder / "ours" / "features"
    config = training.settings(folder, video_encoder, live_batch, POOLING)
    video = open_video_encoder(config, ShardSet.open(jpeg)).to(device)
    return [
        vit(video, device, 1 if small else 64, 512 if small else 8192, runs),
        fed("training from cached features", features, video_encoder, video, device, batch, steps, runs),
        fed("training from clips", jpeg, video_encoder, video, device, live_batch, steps, runs),
    ]


def vit(video: VideoEncoder, device: torch.device, clips: int, side: int, runs: int) -> dict[str, Any]:
    """Measure floating-point operations per second of the frozen video encoder, and of a product of matrices."""
    frames = torch.randint(0, 256, (clips, FRAMES, 3, SIZE, SIZE), dtype=torch.uint8, device=device)
    mask = torch.ones(clips, FRAMES, dtype=torch.bool, device=device)
    matrix = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        video(frames, mask)
    operations = counter.get_total_flops()
    ours, most = [], []
    with torch.inference_mode():
        for _ in range(runs):
            ours.append(1 / seconds(lambda: video(frames, mask), device))
            most.append(2 * side**3 / seconds(lambda: matrix @ matrix, device))
    return {
        "case": "ViT forward, operations",
        "ours": [operations * rate for rate in ours],
        "most": most,
        "images_per_s": clips * FRAMES * statistics.median(ours),
    }


def fed(
    case: str,
    folder: Path,
    video_encoder: str,
    video: VideoEncoder,
    device: torch.device,
    batch: int,
    steps: int,
    runs: int,
) -> dict[str, Any]:
    """Measure windows per second of training fed by the loader, and of training with one batch on the device."""
    shards = ShardSet.open(folder)
    cached = FeatureCache.open(folder, shards, "made") if (folder / "features.json").is_file() else None
    options = [] if cached else ["video_encoder.cache=false", "video_head.params.input_norm=layer"]
    config = training.settings(folder, video_encoder, batch, POOLING, *options)
    reader = make_data_module(config, shards, cached)
    reader.trainer = SimpleNamespace(  # type: ignore[assignment]
        global_rank=0, world_size=1, global_step=0, accumulate_grad_batches=1, training=True
    )
    L.seed_everything(0, verbose=False)
    way = training.Way(make_module(config, shards, video, cached, reader).to(device), reader, config)

    def step(batch: Batch) -> None:
        batch = reader.on_after_batch_transfer(move_data_to_device(batch, device), 0)
        loss = way.module.training_step(batch, 0)
        way.optimizer.zero_grad()
        loss.backward()
        way.optimizer.step()

    resident = move_data_to_device(next(iter(reader.train_dataloader())), device)
    found: dict[str, Any] = {"case": case, "ours": [], "most": [], "waiting": []}
    for _ in range(runs):
        taken, waited = one_run(reader, step, device, steps)
        found["ours"].append(steps * batch / taken)
        found["waiting"].append(waited / taken)
        found["most"].append(batch / seconds(lambda: step(resident), device, steps))
    return found


def one_run(
    reader: PretrainingDataModule, step: Callable[[Batch], None], device: torch.device, steps: int
) -> tuple[float, float]:
    """Measure the seconds of so many steps, over several epochs if needed, and the seconds of waiting for batches."""
    batches = iter(reader.train_dataloader())
    waited, began = 0.0, time.perf_counter()
    before = min(_BEFORE, steps)
    for number in range(before + steps):
        if number == before:
            wait(device)
            waited, began = 0.0, time.perf_counter()
        asked = time.perf_counter()
        batch = next(batches, None)
        if batch is None:
            batches = iter(reader.train_dataloader())
            batch = next(batches)
        waited += time.perf_counter() - asked
        step(batch)
    wait(device)
    return time.perf_counter() - began, waited


def seconds(work: Callable[[], object], device: torch.device, times: int = 10) -> float:
    """Measure the time of a call, with that of the device."""
    work()
    wait(device)
    began = time.perf_counter()
    for _ in range(times):
        work()
    wait(device)
    return (time.perf_counter() - began) / times


def wait(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark from the command line; prints Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, default=ROOT / "data" / "bench", help="of the data of `make bench`")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--video-encoder", default="vit_base_patch16_224", help="a timm model, 768 wide")
    parser.add_argument("--runs", type=int, default=5, help="of which medians are shown")
    parser.add_argument("--small", action="store_true", help="a few windows only, to try the code")
    arguments = parser.parse_args(argv)
    quiet()
    device = torch.device(arguments.device)
    print("| | ours, per second | at most | share | waiting for batches |\n| --- | ---: | ---: | ---: | ---: |")
    for row in measure(arguments.folder.resolve(), device, arguments.video_encoder, arguments.runs, arguments.small):
        ours, most = statistics.median(row["ours"]), statistics.median(row["most"])
        waiting = f"{statistics.median(row['waiting']):.1%}" if "waiting" in row else ""
        print(f"| {row['case']} | {ours:.4g} | {most:.4g} | {ours / most:.0%} | {waiting} |")


if __name__ == "__main__":
    main()
