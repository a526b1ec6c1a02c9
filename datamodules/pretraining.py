"""Pretraining batches: IMU windows with the video features, or the clips, of the same seconds.

A batch is a dict of tensors (B windows, T samples, F frames, D feature width, V views):

- ``imu`` (B, T, 6) float32, normalised, zero where nothing was measured; ``sample_mask`` (B, T) and
  ``channel_mask`` (B, 6) bool;
- ``features`` (B, F, D) float16 from the feature cache, or ``frames`` (B, F, 3, H, W) uint8; without video, neither;
- ``frame_times`` (B, F) float32, seconds since the window's start, and ``frame_mask`` (B, F) bool;
- ``recording`` (B,) int64 and ``start_s`` (B,) float64, to mask neighbours out of the negatives;
- in training, ``draws`` (B,) int64, the keys of the windows' random numbers in this epoch, and ``views``: V dicts with
  ``imu``, ``sample_mask``, ``channel_mask`` and ``frame_times``, each augmented anew on the device.

A caller may keep a batch. Batches that were read together share memory, which is reused only after the last tensor of
these batches is gone; see :mod:`datamodules.io.buffer_pool`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.augment import AugmentSettings, Draws, ImuAugmentation
from datamodules.augment.draws import window_keys
from datamodules.features.cache import FeatureCache
from datamodules.io.buffer_pool import BufferPool
from datamodules.labels.label_column import among, distinct, numbered
from datamodules.sampling.loader import Batch, BatchLoader
from datamodules.sampling.order import BatchPlan, BlockOrder, Order, SpreadOrder, WindowOrder
from datamodules.sampling.shard_order import ShardOrder
from datamodules.shards.reader import ShardSet
from datamodules.signal import normalise

_GROUP_BYTES, _MAX_GROUP = 24 << 20, 16  # bytes and number of batches that are read together


class PretrainingDataModule(L.LightningDataModule):
    """Windows of a set of shards, split by recording into training and validation; no labels are used.

    Args:
        shards: source of the IMU windows, and of the clips if ``features`` is None.
        features: cached video features; None decodes the clips.
        video: False leaves the video out: batches have no clips, and training includes windows without frames.
        batch_size: global batch, summed over all processes.
        normalisation: "physical", "window" or "none"; see :func:`datamodules.signal.normalise`.
        validation_share: share of the recordings held out for validation.
        augmentation: augmentation of the IMU in training.
        views: augmented views per window.
        exclude_activities: activities kept out of training and validation. Windows with one of these labels, and
            their neighbours, are excluded; see :func:`held_out_windows`.
        seed: seed of the order and of the augmentations.
        max_validation_windows: size of the pool for the retrieval metrics.
        order: "shuffle", "blocks" (for storage that is slow at single reads), "spread" (no batch holds neighbours
            of one recording) or "shards" (for a store with more data than the cache holds); see
            :mod:`datamodules.sampling.order` and :mod:`datamodules.sampling.shard_order`.

    Raises:
        ValueError: there are too few windows for one batch, an excluded activity does not occur, or the order is
            unknown.
    """

    def __init__(
        self,
        shards: ShardSet,
        features: FeatureCache | None,
        *,
        batch_size: int,
        normalisation: str = "physical",
        validation_share: float = 0.1,
        augmentation: ImuAugmentation | None = None,
        views: int = 1,
        exclude_activities: Sequence[str] = (),
        seed: int = 0,
        max_validation_windows: int = 2048,
        video: bool = True,
        order: str = "shuffle",
    ) -> None:
        super().__init__()
        self.shards = shards
        self.features = features
        self.video = video
        self.batch_size = batch_size
        self.normalisation = normalisation
        self.augmentation = augmentation or ImuAugmentation(AugmentSettings.only())
        self.n_views = views
        self.seed = seed
        self._buffers = BufferPool(pinned=torch.cuda.is_available())
        for activity in exclude_activities:
            labels = [name for name in distinct(shards.table["activity"]) if name]
            if activity not in labels:
                there = ", ".join(labels) or "none"
                raise ValueError(f"pretraining.exclude_activities names '{activity}'; there are: {there}")
        usable = usable_windows(shards) if video else np.arange(shards.n_windows)
        if exclude_activities:
            usable = usable[~held_out_windows(shards.table, exclude_activities, shards.settings.duration_s)[usable]]
        self._recordings = shards.codes("recording")
        self.training_windows, self.validation_windows = split_recordings(
            self._recordings, usable, validation_share, seed, max_validation_windows
        )
        if len(self.training_windows) < batch_size:
            raise ValueError(
                f"pretraining.batch_size is {batch_size}, but there are only {len(self.training_windows)}"
                " training windows"
            )
        self.order = make_order(
            order, self.training_windows, seed, batch_size, [entry.windows for entry in shards.index.shards]
        )

    @property
    def steps_per_epoch(self) -> int:
        """Batches per epoch, for any number of processes."""
        return len(self.training_windows) // self.batch_size

    def train_dataloader(self) -> BatchLoader:
        """Return the loader of this process's part of the global batches."""
        assert self.trainer is not None
        trainer = self.trainer
        plan = BatchPlan(self.order, self.batch_size, trainer.global_rank, trainer.world_size)
        accumulated = trainer.accumulate_grad_batches
        steps = -(-len(plan) // accumulated)  # the last step of an epoch takes the remaining batches

        def batches_done() -> int:
            epoch, step = divmod(trainer.global_step, steps)
            return epoch * len(plan) + step * accumulated

        threads = min(source.readers for source in (self.shards, self.features) if source is not None)
        group = max(1, min(_MAX_GROUP, _GROUP_BYTES // (self.batch_size // trainer.world_size * self._window_bytes)))
        return BatchLoader(plan, self._read_training, batches_done, threads=threads, group=group, expect=self._expect)

    def val_dataloader(self) -> BatchLoader:
        """Return the loader of all validation windows on every process: they form one retrieval pool."""
        n = len(self.validation_windows)
        plan = BatchPlan(WindowOrder(n, 0, shuffle=False), 256, keep_last=True)
        return BatchLoader(plan, lambda positions, _: self.read(self.validation_windows[positions]), lambda: 0)

    def read(
        self, windows: NDArray[np.int64], feature_views: NDArray[np.int64] | None = None, threads: int = 0
    ) -> Batch:
        """Read one batch without augmentation of the IMU.

        Args:
            windows: (B,).
            feature_views: number of the cached video view for each window, (B,); None is the unaugmented clip.
            threads: threads that decode clips, as in :meth:`datamodules.shards.reader.ShardSet.frames`.
        """
        imu = self._buffers.empty((len(windows), self.shards.settings.samples, 6), torch.float32)
        values, sample_mask, channel_mask = self.shards.imu(windows, out=imu.numpy())
        frame_times, frame_mask = self.shards.frame_times(windows)
        scaled = normalise(values, sample_mask, channel_mask, self.normalisation, out=values)
        batch: Batch = {
            "imu": imu if scaled is values else torch.from_numpy(scaled),
            "sample_mask": torch.from_numpy(sample_mask),
            "channel_mask": torch.from_numpy(channel_mask),
            "frame_times": torch.from_numpy(np.where(frame_mask, frame_times, 0).astype(np.float32)),
            "frame_mask": torch.from_numpy(frame_mask),
            "recording": torch.from_numpy(self._recordings[windows].astype(np.int64)),
            "start_s": torch.from_numpy(self.shards.start_s[windows]),
        }
        if not self.video:
            return batch
        if self.features is None:
            size = self.shards.settings.frame_size
            frames = self._buffers.empty((len(windows), self.shards.settings.frames, size, size, 3), torch.uint8)
            self.shards.frames(windows, frames.numpy(), threads)
            batch["frames"] = frames.permute(0, 1, 4, 2, 3)
        else:
            features = self._buffers.empty((len(windows), *self.features.shape[2:]), torch.float16)
            self.features.take(windows, feature_views, out=features.numpy())
            batch["features"] = features
        return batch

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Augment on the device.

        The random numbers are a function of (seed, epoch, window, view), see :class:`Draws`. A resumed run therefore
        repeats them, and any number of processes sees the same views of the same windows.
        """
        trainer = self.trainer
        if trainer is None or not trainer.training:
            return batch
        rate_hz = self.shards.settings.imu_rate_hz
        batch["views"] = []
        given = batch["imu"], batch["sample_mask"], batch["channel_mask"], batch["frame_times"]
        for number in range(self.n_views):
            view = self.augmentation(*given, rate_hz, Draws(batch["draws"], number))
            batch["views"].append(view._asdict())
        return batch

    @property
    def _window_bytes(self) -> int:
        """Bytes of a window's largest arrays."""
        s = self.shards.settings
        if not self.video:
            video = 0
        elif self.features is None:
            video = s.frames * s.frame_size**2 * 3
        else:
            video = 2 * math.prod(self.features.shape[2:])
        return s.samples * 6 * 4 + video

    def _expect(self, positions: NDArray[np.int64] | None) -> None:
        windows = None if positions is None else self.training_windows[positions]
        self.shards.expect(windows)
        if self.video and self.features is not None:
            self.features.expect(windows)

    def _read_training(self, positions: NDArray[np.int64], epoch: int) -> Batch:
        windows = self.training_windows[positions]
        draws = window_keys(self.seed, epoch, windows)
        count = 1 if self.features is None else self.features.views
        # On few cores, the loader's own threads keep every core busy.
        threads = 1 if self.shards.threads <= self.shards.readers else 0
        return {**self.read(windows, None if count == 1 else draws.numpy() % count, threads), "draws": draws}


def make_order(name: str, windows: NDArray[np.int64], seed: int, batch_size: int, shard_sizes: Sequence[int]) -> Order:
    """Create the order with this name.

    Args:
        name: "shuffle", "blocks", "spread" or "shards".
        windows: windows to order, ascending.
        seed: seed of the order.
        batch_size: global batch.
        shard_sizes: number of windows in each shard, unused windows included.

    Raises:
        ValueError: there is no order with this name.
    """
    n = len(windows)
    if name == "shuffle":
        return WindowOrder(n, seed)
    if name == "blocks":
        return BlockOrder(n, seed)
    if name == "spread":
        return SpreadOrder(n, seed, batch_size)
    if name == "shards":
        used = np.diff(np.searchsorted(windows, np.cumsum([0, *shard_sizes])))
        return ShardOrder(tuple(int(size) for size in used if size), seed)
    raise ValueError(f"unknown order '{name}' of windows; expected shuffle, blocks, spread or shards")


def stream_seed(*key: int) -> int:
    """Derive a well-mixed seed of 63 bits from integers."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1))


def held_out_windows(table: Mapping[str, Any], activities: Sequence[str], duration_s: float) -> NDArray[np.bool_]:
    """Find the windows, (N,) bool, that may show a held-out activity.

    A window next to a labelled one often shows part of the activity, under another label or none. Therefore every
    window that overlaps or touches a labelled one in the same recording is held out too.

    Args:
        table: ``activity``, ``recording`` and ``start_s`` of each window, (N,) each.
        activities: labels to hold out.
        duration_s: length of a window, seconds.
    """
    labelled = among(table["activity"], activities)
    if not labelled.any():
        return labelled
    start = np.asarray(table["start_s"], np.float64)
    recording = numbered(table["recording"])[1]
    # Put all recordings on one time axis, too far apart to touch.
    at = start - start.min() + recording * (np.ptp(start) + 3 * duration_s)
    known = np.sort(at[labelled])
    after = np.searchsorted(known, at)
    before, behind = np.maximum(after - 1, 0), np.minimum(after, len(known) - 1)
    distance = np.minimum(np.abs(at - known[before]), np.abs(at - known[behind]))
    return np.asarray(distance <= duration_s + 1e-6)


def usable_windows(shards: ShardSet) -> NDArray[np.int64]:
    """Return the windows with at least two frames; the IMU of the others has no clip to be paired with."""
    windows = np.arange(shards.n_windows)
    frames = [shards.frame_times(part)[1].sum(axis=1) for part in np.array_split(windows, max(1, len(windows) // 4096))]
    return windows[np.concatenate(frames) >= 2] if frames else windows


def split_recordings(
    recordings: NDArray[Any], windows: NDArray[np.int64], share: float, seed: int, max_validation_windows: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split windows into training and validation; no recording is on both sides.

    Args:
        recordings: name or number of each window's recording, (N,).
        windows: the windows to split.
        share: share of the recordings for validation; above 0, it takes at least one of several recordings.
        seed: seed of the draw.
        max_validation_windows: most validation windows; more are thinned out evenly.
    """
    names = np.unique(recordings[windows])
    count = round(share * len(names))
    if share > 0 and len(names) > 1:
        count = max(count, 1)
    held_out = np.random.default_rng([seed, 0xA11]).permutation(names)[:count]
    is_held_out = np.isin(recordings[windows], held_out)
    validation = windows[is_held_out]
    if len(validation) > max_validation_windows:
        kept = np.linspace(0, len(validation) - 1, max_validation_windows).round().astype(np.int64)
        validation = validation[kept]
    return windows[~is_held_out], validation
