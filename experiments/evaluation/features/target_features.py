"""Features of a target's windows; each kind is computed once, when the first cell asks for it.

Shape legend: N windows of the target, P pooled width of the encoder, E width of the shared space.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from core.registry import component_params
from datamodules.handcrafted import FEATURE_NAMES, handcrafted_features
from datamodules.labelled import ImuBatches
from datamodules.sampling.loader import Batch
from datamodules.shards.concat import ConcatShards
from encoders.contract import ImuEncoder, ImuInput
from encoders.registry import IMU_ENCODERS, build_imu_encoder
from experiments.evaluation.errors import EvaluationError
from experiments.evaluation.features.feature_table import FeatureRows, FeatureTable, in_blocks
from experiments.evaluation.features.shared_fits import SharedFits
from experiments.evaluation.held_out_labels import UnlabelledShards
from experiments.evaluation.perturbations import Perturbation
from experiments.evaluation.random_views import RandomView
from experiments.settings.schema import Config
from lightning_modules.pretraining import ImuPretraining

# Reads one table of a target's features, or of the same windows under a change.
Read = Callable[["TargetFeatures"], FeatureRows]
# (Name of a table, features, reader of the table as it was) -> the table as a method sees it.
Change = Callable[[str, "TargetFeatures", Read], FeatureRows]

FITS = 24  # that are kept; a forest of 300 trees takes some 5 MB at few labels, 50 MB at many
PREDICTIONS = 128

# Weights are drawn from torch's only random state. Other threads must not draw from it at the same time.
_DRAWING = threading.Lock()


@dataclass(frozen=True)
class EncoderSpec:
    """The settings of an IMU encoder, with or without a checkpoint.

    Attributes:
        name: name in the registry.
        params: all settings of the encoder, with defaults.
        imu_input: length and rate of its windows.
        normalisation: normalisation of its windows.
    """

    name: str
    params: dict[str, Any]
    imu_input: ImuInput
    normalisation: str

    @classmethod
    def of(cls, config: Config, shards: ConcatShards, model: ImuPretraining | None) -> EncoderSpec:
        """Take the checkpoint's encoder, or, without a checkpoint, the configured encoder for these windows.

        Raises:
            EvaluationError: the target's windows differ in length or rate from those of the checkpoint.
        """
        found = ImuInput(shards.settings.samples, shards.settings.imu_rate_hz)
        if model is None:
            name, params = config.imu_encoder.name, config.imu_encoder.params
            normalisation = config.pretraining.normalisation
        else:
            s = model.settings
            name, params, normalisation = s.imu_encoder["name"], s.imu_encoder["params"], s.normalisation
            expected = ImuInput(**s.imu_input)
            if found != expected:
                raise EvaluationError(
                    f"{shards.directory}: windows of {found.samples} samples at {found.rate_hz} Hz; the"
                    f" checkpoint was trained on {expected.samples} at {expected.rate_hz} Hz: set 'window' as"
                    " in the settings of its pretraining"
                )
        return cls(name, asdict(component_params(IMU_ENCODERS, name, params)), found, normalisation)

    def build(self, seed: int) -> ImuEncoder:
        """Build the encoder with random weights, the same in any thread; torch's random state does not change."""
        with _DRAWING, torch.random.fork_rng():
            torch.manual_seed(seed)
            return build_imu_encoder(self.name, self.params, self.imu_input)


class TargetFeatures:
    """Features of windows of one target, each kind computed once; rows of other windows are zero.

    Safe to use from several threads.

    Args:
        shards: shards of the target, without labels.
        windows: windows to compute features of, ascending.
        spec: settings of the encoder.
        model: the checkpoint; None where no method needs one.
        seed: seed of the random encoder's weights.
        device: device that encoders run on.
        source_encoder: gives the encoder trained on labels of other laboratories; None where no method needs one.

    Attributes:
        view: name of what was done to the tables by :meth:`through`; empty for tables as they are.
        fits: fits on these features that several methods share.
        predictions: small predictions that several methods share.
    """

    def __init__(
        self,
        shards: UnlabelledShards,
        windows: NDArray[np.int64],
        spec: EncoderSpec,
        model: ImuPretraining | None,
        seed: int,
        device: str,
        source_encoder: Callable[[], ImuEncoder] | None = None,
    ) -> None:
        self.shards = shards
        self.source_encoder = source_encoder
        self.windows = windows
        self.spec = spec
        self.model = model
        self.seed = seed
        self.device = torch.device(device)
        self.view = ""
        self.fits = SharedFits(FITS)
        self.predictions = SharedFits(PREDICTIONS)
        self._changes: tuple[Change, ...] = ()
        self._lock = threading.RLock()
        self._kept: dict[str, FeatureTable] = {}
        self._under: dict[Perturbation | RandomView, TargetFeatures] = {}

    def under(self, change: Perturbation | RandomView) -> TargetFeatures:
        """Give features of the same windows under a change; windows that it was not measured in are left out.

        Tables are as measured there: no change of :meth:`through` is kept.
        """
        with self._lock:
            if change not in self._under:
                shards = self.shards.under(change)
                windows = shards.measured(self.windows)
                self._under[change] = TargetFeatures(
                    shards, windows, self.spec, self.model, self.seed, str(self.device), self.source_encoder
                )
            return self._under[change]

    def through(self, view: str, change: Change) -> TargetFeatures:
        """Give the same features with every table but ``embeddings`` changed; a second change sees the first one's.

        Args:
            view: name of the change, different for different changes.
            change: from a table's name, these features and the table's reader to the table that methods see.
        """
        changed = copy.copy(self)
        changed.view = f"{self.view} {view}".strip()
        changed._changes = (*self._changes, change)
        return changed

    @property
    def pretrained(self) -> FeatureRows:
        """Pooled features by the checkpoint's encoder, (N, P)."""
        return self.table("pretrained", lambda features: features._by_checkpoint())

    @property
    def random(self) -> FeatureRows:
        """Pooled features by the same encoder with random weights, (N, P)."""
        return self.table("random", lambda features: features._pooled(features.spec.build(features.seed)))

    @property
    def transferred(self) -> FeatureRows:
        """Pooled features by the encoder trained on labels of other laboratories, (N, P)."""
        if self.source_encoder is None:
            raise EvaluationError("features of other laboratories' encoder were asked for, but there is none")
        encoder = self.source_encoder
        return self.table("transferred", lambda features: features._pooled(encoder(), "physical"))

    @property
    def embeddings(self) -> FeatureRows:
        """Unit vectors in the space shared with video, (N, E)."""
        return self._once("embeddings", self._embed)

    @property
    def handcrafted(self) -> FeatureRows:
        """Handcrafted features, (N, K)."""
        return self.table("handcrafted", lambda features: features._by_hand())

    def table(self, name: str, compute: Callable[[TargetFeatures], FeatureTable]) -> FeatureRows:
        """Give the table called ``name``, computed when it is first asked for.

        Args:
            name: name of the features, and of what they depend on besides the windows.
            compute: makes the table of these features, or of the same windows under a change; it has rows of their
                ``windows`` at least.
        """

        def read(features: TargetFeatures) -> FeatureRows:
            return features._once(name, lambda: compute(features))

        return _through(self._changes, name, read)(self)

    def _once(self, name: str, compute: Callable[[], FeatureTable]) -> FeatureTable:
        with self._lock:
            if name not in self._kept:
                self._kept[name] = compute()
            return self._kept[name]

    def _by_checkpoint(self) -> FeatureTable:
        return self._once("pretrained", lambda: self._pooled(self._checkpoint().imu_encoder))

    def _checkpoint(self) -> ImuPretraining:
        if self.model is None:
            raise EvaluationError("features of a checkpoint were asked for, but there is none")
        return self.model

    @torch.inference_mode()
    def _embed(self) -> FeatureTable:
        projection = self._checkpoint().imu_projection.to(self.device).eval()

        def embed(windows: NDArray[np.int64]) -> Tensor:
            return F.normalize(projection(torch.from_numpy(self._by_checkpoint()[windows]).to(self.device)), dim=1)

        found = FeatureTable(self.shards.n_windows, embed(self.windows[:1]).shape[1])
        for windows in in_blocks(self.windows):
            found.put(windows, embed(windows).cpu().numpy())
        return found

    def _by_hand(self) -> FeatureTable:
        found = FeatureTable(self.shards.n_windows, len(FEATURE_NAMES))
        rate_hz = self.shards.settings.imu_rate_hz
        for start in range(0, len(self.windows), 1024):
            windows = self.windows[start : start + 1024]
            found.put(windows, handcrafted_features(*self.shards.imu(windows), rate_hz))
        return found

    def _pooled(self, encoder: ImuEncoder, normalisation: str = "") -> FeatureTable:
        encoder = encoder.to(self.device).eval()

        def encode(batch: Batch) -> Tensor:
            pooled: Tensor = encoder(batch["imu"], batch["channel_mask"], batch["sample_mask"]).pooled
            return pooled

        return self.encoded(encode, encoder.pooled_width, normalisation or self.spec.normalisation)

    @torch.inference_mode()
    def encoded(self, encode: Callable[[Batch], Tensor], width: int, normalisation: str) -> FeatureTable:
        """Compute a table by encoding windows batch by batch, on the device.

        Args:
            encode: from a batch of B windows (``imu``, ``channel_mask``, ``sample_mask``) to features (B, ``width``).
            width: width of the features.
            normalisation: of the windows, see :func:`datamodules.signal.normalise`.
        """
        found = FeatureTable(self.shards.n_windows, width)
        batches = ImuBatches(self.shards, self.windows, normalisation)
        done = 0
        for batch in batches:
            encoded = encode({name: tensor.to(self.device) for name, tensor in batch.items()}).float().cpu().numpy()
            found.put(self.windows[done : done + len(encoded)], encoded)
            done += len(encoded)
        return found


def _through(changes: Sequence[Change], name: str, read: Read) -> Read:
    """Put changes of tables behind the reader of one."""
    for change in changes:
        read = partial(_changed, change, name, read)
    return read


def _changed(change: Change, name: str, read: Read, features: TargetFeatures) -> FeatureRows:
    return change(name, features, read)
