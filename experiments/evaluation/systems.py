"""Opening of systems: checkpoints with the inputs of their zero-shot methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from core.digest import file_digest
from core.errors import first_line
from datamodules.features.cache import FeatureCache
from datamodules.labels.label_column import among, prefixed, repeated
from encoders.contract import VideoEncoder
from experiments.artifacts.shards import open_dataset
from experiments.artifacts.video_encoder import features_of, open_video_encoder
from experiments.evaluation.methods import Method
from experiments.evaluation.prototypes.text import NamedActivities, activities_of, embed_names, text_prototypes
from experiments.evaluation.prototypes.video import NoPrototypesError, Prototypes, build_prototypes
from experiments.evaluation.targets import OWN, System, Target
from experiments.runtime.completeness import refuse_incomplete
from experiments.runtime.devices import accelerator
from experiments.runtime.errors import UserError
from experiments.runtime.run_folder import LAST, run_folder
from experiments.settings.layers import NONE
from experiments.settings.load import load_saved, with_hidden_values
from experiments.settings.privacy import qualified_if_known
from experiments.settings.schema import Config
from lightning_modules.checkpoint import read_checkpoint
from lightning_modules.pretraining import ImuPretraining


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint.

    Attributes:
        system: name of the system; "" is the run's own.
        model: the model.
        digest: digest of the file.
        config: settings of the training, used for its videos: data set, windows and video encoder.
        path: path of the file.
        incomplete: how far its training came, e.g. ``step 7 of 1,400``; empty if to its end.
    """

    system: str
    model: ImuPretraining
    digest: str
    config: Config
    path: Path
    incomplete: str = ""


def load_checkpoints(config: Config, methods: Sequence[Method]) -> list[Checkpoint]:
    """Load the run's own checkpoint, then ``evaluation.checkpoints``; none if no method needs one.

    With ``checkpoint: none`` only the named ones are loaded.

    Raises:
        UserError: a checkpoint is missing, takes other windows than the settings say, or is of a training that is not
            complete.
    """
    if not any(method.checkpoint for method in methods):
        return []
    paths = [] if config.checkpoint == NONE else [(OWN, own_checkpoint(config))]
    for name, files in config.evaluation.checkpoints.items():
        for file in files:
            if not Path(file).is_file():
                raise UserError(f"evaluation.checkpoints.{name}: no file '{file}'")
            paths.append((name, Path(file)))
    if not paths:
        raise UserError("checkpoint is 'none', and evaluation.checkpoints names none either; name at least one")
    found = []
    for name, path in paths:
        stopped = refuse_incomplete(path, config.evaluation.allow_incomplete)
        model = ImuPretraining.load_pretrained(path)
        model.settings = replace(  # a checkpoint from before there were pseudonyms names people
            model.settings,
            pretraining_subjects=qualified_if_known(config, model.settings.pretraining_subjects),
            development_subjects=qualified_if_known(config, model.settings.development_subjects),
        )
        _refuse_other_windows(config, model, path)
        trained = config if name == OWN else _trained(config, path)
        found.append(Checkpoint(name, model, file_digest(path)[:16], trained, path, stopped))
    return found


def _trained(config: Config, path: Path) -> Config:
    """Load the settings of another system's training, if they are beside it, with this machine's folders."""
    saved = path.parent.parent / "config.yaml"
    if not saved.is_file():
        return config
    trained = with_hidden_values(load_saved(saved), config)
    return replace(trained, paths=config.paths, build=config.build, trainer=config.trainer, privacy=config.privacy)


def open_systems(
    config: Config, methods: Sequence[Method], targets: Sequence[Target], checkpoints: Sequence[Checkpoint]
) -> tuple[list[System], list[str]]:
    """Open each checkpoint with the inputs of its zero-shot methods; without any, open one system without a checkpoint.

    Returns:
        The systems, and remarks that say why a system can't do a method.
    """
    if not checkpoints:
        return [System()], []
    kinds = {method.prototypes for method in methods} - {""}
    named = _named(config, targets) if "text" in kinds else ""
    systems, remarks = [], []
    for checkpoint in checkpoints:
        name, model = checkpoint.system, checkpoint.model
        prototypes: dict[str, Prototypes] = {}
        clips: dict[str, FeatureCache] = {}
        video_encoder = _video_encoder(checkpoint) if kinds & {"source", "target"} else ""
        if "source" in kinds:
            found = _source_prototypes(checkpoint, video_encoder)
            if isinstance(found, Prototypes):
                prototypes["source"] = found
            else:
                remarks.append(_left_out(name, "source", methods, found))
        if "target" in kinds:
            clips, why = _clips(checkpoint, targets, video_encoder)
            if why:
                remarks.append(_left_out(name, "target", methods, why))
        if "text" in kinds:
            try:
                if isinstance(named, str):
                    raise NoPrototypesError(named)
                prototypes["text"] = text_prototypes(model, named, config.window, _device(config))
            except NoPrototypesError as error:
                remarks.append(_left_out(name, "text", methods, str(error)))
        systems.append(System(name, model, checkpoint.digest, prototypes, clips, incomplete=checkpoint.incomplete))
    return systems, list(dict.fromkeys(remarks))  # checkpoints of several seeds give the same remarks


def _video_encoder(checkpoint: Checkpoint) -> VideoEncoder | str:
    """Open the video encoder of a checkpoint's training; otherwise the reason why it is not available."""
    config, settings = checkpoint.config, checkpoint.model.settings
    if not checkpoint.model.shares_space or not settings.video_encoder:
        return "the checkpoint was trained without a video encoder"
    key = config.video_dataset()
    if key is None:
        return "the settings name no data set with a camera as pretraining.dataset"
    try:
        video_encoder = open_video_encoder(config, open_dataset(config, key), train=False)
    except UserError as error:
        return str(error)
    frozen = config.video_encoder.params.get("frozen", True)
    if frozen and not settings.video_encoder.get("frozen", True):  # the fingerprint was taken before the encoder learnt
        return (
            "the checkpoint was trained with a video encoder that learnt too, but the settings have"
            " video_encoder.params.frozen=true: use the settings of its pretraining"
        )
    if not frozen:
        content = read_checkpoint(checkpoint.path, needs=("state_dict",))["state_dict"]
        prefix = "video_encoder."
        weights = {k.removeprefix(prefix): v for k, v in content.items() if k.startswith(prefix)}
        try:
            video_encoder.load_state_dict(weights)
        except RuntimeError as error:
            raise UserError(
                f"{checkpoint.path}: its video encoder does not fit the settings of its training: {first_line(error)}"
            ) from error
        return video_encoder
    trained_with, found = str(settings.video_encoder["fingerprint"]), video_encoder.fingerprint()
    if trained_with == found:
        return video_encoder
    return (
        f"the checkpoint was trained with video encoder {trained_with[:12]}..., but the settings give"
        f" {found[:12]}...: use the settings of its pretraining"
    )


def _named(config: Config, targets: Sequence[Target]) -> NamedActivities | str:
    """Embed the targets' activities by the video encoder's text twin; otherwise the reason why this can't be done."""
    try:
        return embed_names(config, activities_of(targets))
    except NoPrototypesError as error:
        return str(error)


def own_checkpoint(config: Config) -> Path:
    """Find the run's last checkpoint, or the one that the settings name.

    Raises:
        UserError: the file does not exist.
    """
    path = Path(config.checkpoint) if config.checkpoint else run_folder(config) / "checkpoints" / LAST
    if path.is_file():
        return path
    if config.checkpoint:
        raise UserError(f"checkpoint: no file '{path}'")
    raise UserError(
        f"no checkpoint '{path}' yet: run `make pretrain EXPERIMENT={config.experiment}` first, or name one with"
        " checkpoint=..."
    )


def _refuse_other_windows(config: Config, model: ImuPretraining, path: Path) -> None:
    """Refuse windows of another length or rate than the checkpoint's, before any features are computed."""
    trained, window = model.settings.imu_input, config.window
    if (trained["samples"], trained["rate_hz"]) != (window.samples, window.imu_rate_hz):
        raise UserError(
            f"window: the settings give {window.samples} samples at {window.imu_rate_hz:g} Hz, checkpoint '{path}' was"
            f" trained on {trained['samples']} samples at {trained['rate_hz']:g} Hz; set window.duration_s and"
            " window.imu_rate_hz as in the settings of its pretraining"
        )


def _left_out(system: str, kind: str, methods: Sequence[Method], why: str) -> str:
    names = ", ".join(method.name for method in methods if method.prototypes == kind)
    return f"left out: {names}{f' of {system}' if system else ''} ({why})"


def _source_prototypes(checkpoint: Checkpoint, video_encoder: VideoEncoder | str) -> Prototypes | str:
    """Build prototypes from labelled videos of the subjects of pretraining, by the checkpoint's own video encoder.

    Returns:
        The prototypes, or the reason why there are none.
    """
    if isinstance(video_encoder, str):
        return video_encoder
    config, model = checkpoint.config, checkpoint.model
    key = config.video_dataset() or config.pretraining.dataset
    shards = open_dataset(config, key)
    windows = None
    if model.settings.pretraining_subjects is not None:
        # The settings may name other subjects than those of pretraining, tested subjects among them.
        subjects = prefixed(repeated([str(shards.index.build["source"])], [shards.n_windows]), shards.table["subject"])
        windows = np.flatnonzero(among(subjects, model.settings.pretraining_subjects))
        if not len(windows):
            return f"the checkpoint was pretrained on no subject of data set '{key}'"
    features = features_of(config, shards, key, video_encoder)
    try:
        return build_prototypes(model, shards, features, _device(config), windows)
    except NoPrototypesError as error:
        return str(error)


def _clips(
    checkpoint: Checkpoint, targets: Sequence[Target], video_encoder: VideoEncoder | str
) -> tuple[dict[str, FeatureCache], str]:
    """Open video features of each data set that gives labels and has a camera; or the reason why there are none."""
    if isinstance(video_encoder, str):
        return {}, video_encoder
    config = checkpoint.config
    clips: dict[str, FeatureCache] = {}
    why = "no data set that labels come from has a camera"
    for target in targets:
        parts = dict(target.shards.parts)
        for key in target.settings.support or [target.settings.dataset]:
            if key in clips or key not in config.datasets or not config.datasets[key].camera:
                continue
            shards = open_dataset(config, key)
            if shards.n_windows == parts[key].n_windows:
                clips[key] = features_of(config, shards, key, video_encoder)
            else:  # other windows: clips can't be matched with the target's windows
                why = f"its settings cut '{key}' into {shards.n_windows} windows, not {parts[key].n_windows}"
    return clips, "" if clips else why


def _device(config: Config) -> str:
    return "cuda" if accelerator(config) == "gpu" else "cpu"
