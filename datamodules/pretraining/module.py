"""Pretraining batches: IMU windows, with the video features, or the clips, of the same seconds.

A batch is a dict of tensors (B windows, P of them with video, T samples, F frames, D feature width, V views):

- ``imu`` (B, T, 6) float32, normalised, zero where nothing was measured; ``sample_mask`` (B, T) and
  ``channel_mask`` (B, 6) bool;
- ``features`` (B, F, D) float16 from the feature cache, or ``frames`` (B, F, 3, H, W) uint8; without video, neither;
- ``frame_times`` (B, F) float32, seconds since the window's start, and ``frame_mask`` (B, F) bool;
- ``recording`` (B,) int64 and ``start_s`` (B,) float64, to mask neighbours out of the negatives;
- of several sets: ``set`` (B,) int64, and ``rows``, the places of each set's windows in the batch, a list of (b,)
  int64; if any set has video, ``paired`` (P,) int64, the places of the windows with video, and ``video_rows``, the
  places of each set's windows among the P. Then ``features`` or ``frames`` are those of the P windows alone, and
  ``frame_mask`` is False for all others;
- what :mod:`datamodules.pretraining.targets` adds, where objectives ask for it;
- in training, ``draws`` (B,) int64, the keys of the windows' random numbers in this epoch, and ``views``: V dicts with
  ``imu``, ``sample_mask``, ``channel_mask`` and ``frame_times``, each augmented anew on the device.

A caller may keep a batch. Batches that were read together share memory, which is reused only after the last tensor of
these batches is gone; see :mod:`datamodules.io.buffer_pool`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.augment import AugmentSettings, Draws, ImuAugmentation
from datamodules.augment.draws import window_keys
from datamodules.features.cache import FeatureCache
from datamodules.features.mixed import MixedFeatures
from datamodules.io.buffer_pool import BufferPool
from datamodules.labels.label_column import distinct
from datamodules.pretraining.orders import order_of
from datamodules.pretraining.shuffle import UNSHUFFLED, shuffled_pictures
from datamodules.pretraining.split import held_out_windows, split_sets, usable_windows
from datamodules.pretraining.targets import make_targets
from datamodules.sampling.loader import Batch, BatchLoader
from datamodules.sampling.mixture import MixtureOrder
from datamodules.sampling.order import BatchPlan, WindowOrder
from datamodules.shards.mixed import MixedShards
from datamodules.shards.reader import ShardSet
from datamodules.signal import normalise

_GROUP_BYTES, _MAX_GROUP = 24 << 20, 16  # bytes and number of batches that are read together


class PretrainingDataModule(L.LightningDataModule):
    """Windows of one set of shards or of several, split by recording into training and validation.

    Labels are used for the target "labels" alone. Of several sets, every batch has the same number of windows of each.

    Args:
        shards: source of the IMU windows, and of the clips if ``features`` is None.
        features: cached video features; None decodes the clips.
        weights: shares of several sets in a batch, in proportion; empty gives each the same.
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
        targets: what objectives need besides motion and video, "expert" or "labels"; see
            :mod:`datamodules.pretraining.targets`.
        order: "shuffle", "blocks" (for storage that is slow at single reads), "spread" (no batch holds neighbours
            of one recording) or "shards" (for a store with more data than the cache holds); see
            :mod:`datamodules.sampling.order` and :mod:`datamodules.sampling.shard_order`.
        shuffle_video: a control: training windows get the pictures of others; see
            :mod:`datamodules.pretraining.shuffle`. Validation windows keep theirs.

    Raises:
        ValueError: there are too few windows for one batch, an excluded activity does not occur, or the order is
            unknown.
    """

    def __init__(
        self,
        shards: ShardSet | MixedShards,
        features: FeatureCache | MixedFeatures | None,
        *,
        batch_size: int,
        weights: Sequence[float] = (),
        normalisation: str = "physical",
        validation_share: float = 0.1,
        augmentation: ImuAugmentation | None = None,
        views: int = 1,
        exclude_activities: Sequence[str] = (),
        seed: int = 0,
        max_validation_windows: int = 2048,
        video: bool = True,
        order: str = "shuffle",
        targets: Sequence[str] = (),
        shuffle_video: str = UNSHUFFLED,
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
        usable = usable_windows(shards, video)
        if exclude_activities:
            usable = usable[~held_out_windows(shards.table, exclude_activities, shards.settings.duration_s)[usable]]
        self._recordings = shards.codes("recording")
        # Where every window has video, or none, batches need not say which.
        self._paired = shards.paired if isinstance(shards, MixedShards) and video else None
        self.training_windows, self.validation_windows = split_sets(
            shards, usable, validation_share, seed, max_validation_windows
        )
        if len(self.training_windows) < batch_size:
            raise ValueError(
                f"pretraining.batch_size is {batch_size}, but there are only {len(self.training_windows)}"
                " training windows"
            )
        self._pictures = shuffled_pictures(shards, self.training_windows, shuffle_video, seed)
        self.targets = make_targets(targets, shards, self.training_windows)
        self.order = order_of(order, shards, self.training_windows, seed, batch_size, weights)

    @property
    def steps_per_epoch(self) -> int:
        """Batches per epoch, for any number of processes."""
        return len(self.training_windows) // self.batch_size

    @property
    def windows_between(self) -> int:
        """Windows with video that come before any of them comes again, at least; all windows where none has."""
        if not isinstance(self.order, MixtureOrder):
            return len(self.training_windows)
        paired = self.order.together
        if not self.video or not any(paired):
            paired = tuple(1 for _ in paired)
        sets = [entry for entry in zip(self.order.orders, self.order.shares, paired, strict=True) if entry[2]]
        return min(order.n // share for order, share, _ in sets) * sum(share for _, share, _ in sets)

    def check_processes(self, processes: int) -> None:
        """Check that the windows with video can be shared evenly, as losses over the global batch need.

        Raises:
            ValueError: they can't.
        """
        if isinstance(self.order, MixtureOrder) and self.video:
            paired = sum(n for n, video in zip(self.order.shares, self.order.together, strict=True) if video)
            if paired % processes:
                raise ValueError(
                    f"pretraining.datasets: {paired} windows of each batch have video, which {processes} processes"
                    f" can't share evenly; change the weights or pretraining.batch_size for a multiple of {processes}"
                )

    def train_dataloader(self) -> BatchLoader:
        """Return the loader of this process's part of the global batches.

        Raises:
            ValueError: the processes can't share the windows with video evenly.
        """
        assert self.trainer is not None
        trainer = self.trainer
        self.check_processes(trainer.world_size)
        plan = BatchPlan(self.order, self.batch_size, trainer.global_rank, trainer.world_size)
        accumulated = trainer.accumulate_grad_batches

        def batches_done() -> int:
            # The last step of an epoch takes the remaining batches; limit_train_batches ends every epoch early.
            batches = min(len(plan), getattr(trainer, "num_training_batches", len(plan)))
            epoch, step = divmod(trainer.global_step, -(-int(batches) // accumulated))
            return epoch * len(plan) + step * accumulated

        threads = min(source.readers for source in (self.shards, self.features) if source is not None)
        group = max(1, min(_MAX_GROUP, _GROUP_BYTES // (self.batch_size // trainer.world_size * self._window_bytes)))
        if isinstance(self.order, MixtureOrder):
            group = 1  # places of windows are those within one batch
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
                Those of windows without video are not used.
            threads: threads that decode clips, as in :meth:`datamodules.shards.reader.ShardSet.frames`.
        """
        imu = self._buffers.empty((len(windows), self.shards.settings.samples, 6), torch.float32)
        values, sample_mask, channel_mask = self.shards.imu(windows, out=imu.numpy())
        targets = {}
        for target in self.targets.values():
            targets.update(target.of(windows, values, sample_mask, channel_mask))
        pictures = self._pictures_of(windows)
        frame_times, frame_mask = self.shards.frame_times(pictures)
        scaled = normalise(values, sample_mask, channel_mask, self.normalisation, out=values)
        batch: Batch = {
            "imu": imu if scaled is values else torch.from_numpy(scaled),
            "sample_mask": torch.from_numpy(sample_mask),
            "channel_mask": torch.from_numpy(channel_mask),
            "frame_times": torch.from_numpy(np.where(frame_mask, frame_times, 0).astype(np.float32)),
            "frame_mask": torch.from_numpy(frame_mask),
            "recording": torch.from_numpy(self._recordings[windows].astype(np.int64)),
            "start_s": torch.from_numpy(self.shards.start_s[windows]),
            **targets,
        }
        if isinstance(self.shards, MixedShards):
            of_set = self.shards.part_of[windows]
            batch["set"] = torch.from_numpy(of_set)
            rows = [np.flatnonzero(of_set == i) for i in range(len(self.shards.parts))]
            batch["rows"] = [torch.from_numpy(places) for places in rows]
        if not self.video:
            return batch
        if self._paired is not None:
            places = np.flatnonzero(self._paired[windows])
            batch["paired"] = torch.from_numpy(places)
            batch["video_rows"] = [torch.from_numpy(np.flatnonzero(of_set[places] == i)) for i in range(len(rows))]
            pictures, feature_views = pictures[places], None if feature_views is None else feature_views[places]
        if self.features is None:
            size = self.shards.settings.frame_size
            frames = self._buffers.empty((len(pictures), self.shards.settings.frames, size, size, 3), torch.uint8)
            self.shards.frames(pictures, frames.numpy(), threads)
            batch["frames"] = frames.permute(0, 1, 4, 2, 3)
        else:
            features = self._buffers.empty((len(pictures), *self.features.shape[2:]), torch.float16)
            self.features.take(pictures, feature_views, out=features.numpy())
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

    def _expect(self, drawn: NDArray[np.int64] | None) -> None:
        if drawn is not None and isinstance(self.order, MixtureOrder):
            drawn = self.order.split(drawn)[1]
        windows = None if drawn is None else self.training_windows[drawn]
        self.shards.expect(windows)
        if self.video and self.features is not None:
            self.features.expect(None if windows is None else self._pictures_of(windows))

    def _pictures_of(self, windows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Windows whose pictures these windows get: their own, but for the control."""
        return windows if self._pictures is None else self._pictures[windows]

    def _read_training(self, drawn: NDArray[np.int64], epoch: int) -> Batch:
        if isinstance(self.order, MixtureOrder):
            # A window may come again in the same epoch: its random numbers are those of the pass through its set.
            passes, places = self.order.split(drawn)
            windows = self.training_windows[places]
            draws = torch.empty(len(windows), dtype=torch.int64)
            for each in np.unique(passes).tolist():
                during = np.flatnonzero(passes == each)
                draws[torch.from_numpy(during)] = window_keys(self.seed, each, windows[during])
        else:
            windows = self.training_windows[drawn]
            draws = window_keys(self.seed, epoch, windows)
        count = 1 if self.features is None else self.features.views
        # On few cores, the loader's own threads keep every core busy.
        threads = 1 if self.shards.threads <= self.shards.readers else 0
        return {**self.read(windows, None if count == 1 else draws.numpy() % count, threads), "draws": draws}
