"""Needs of an experiment before anything can be built: recordings, and weights of video encoders."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from pathlib import Path

from core.errors import MendableError
from datamodules.sources.registry import Source, sources
from experiments.artifacts.shards import dataset_directory
from experiments.artifacts.stores import stored
from experiments.artifacts.video_encoder import check_video_encoder
from experiments.settings.privacy import source_of
from experiments.settings.schema import Config

_TRIED = 5  # recordings: single bad ones are left out by a build, a wrong set has no good one
_READ = 20  # recordings at most, of sets that are read whole for their activities


@dataclass(frozen=True)
class Need:
    """Something that has to be there.

    Attributes:
        what: its name, for people.
        found: what is there; empty if it is missing.
        missing: why it can't be used, and what to do; empty if it is there.
    """

    what: str
    found: str = ""
    missing: str = ""


def need_dataset(config: Config, key: str, activities: list[str] | None = None) -> Need:
    """Say if a data set can be read: its folder is there, and one of its first recordings is as it should be.

    Args:
        config: the experiment.
        key: the data set.
        activities: names that an evaluation will ask for, as the source has them; checked where that is quick.
    """
    source = config.datasets[key].source
    fields = [field.name for field in dataclasses.fields(sources()[source.name].params)]
    where = next(
        (f"; its folder: datasets.{key}.source.params.{name}" for name in ("root", "path") if name in fields), ""
    )
    what = f"data set {key} (source {source.name}{where})"
    try:
        directory = dataset_directory(config, key)
        if (directory / "index.json").is_file() or stored(config, directory, "index.json") is not None:
            return Need(what, "its shards are built already")
        if config.datasets[key].shared:
            return Need(what, missing=f"datasets.{key}.shared: there are no shards in '{directory}'")
        opened = source_of(config, key).open()
        names = [name for name in opened.names() if _wanted(config, key, opened, name)]
        _load_one(opened, names)
        if lacking := _lacking(source.name, opened, names, activities or []):
            return Need(what, missing=lacking)
    except (MendableError, ValueError, OSError) as error:
        return Need(what, missing=str(error))
    return Need(what, f"{len(names)} recordings")


def _wanted(config: Config, key: str, source: Source, name: str) -> bool:
    subjects = config.datasets[key].subjects
    return not subjects or source.subject_of(name) in (None, *subjects)


def _load_one(source: Source, names: list[str]) -> None:
    """Load one of the first recordings; raises what the first one raised if none of them can be."""
    if not names:
        raise ValueError("no recording of the subjects that are asked for")
    first: Exception | None = None
    for name in names[:_TRIED]:
        try:
            source.load(name)
        except MendableError as error:
            first = first or error
        else:
            return
    assert first is not None
    raise first


def _lacking(kind: str, source: Source, names: list[str], activities: list[str]) -> str:
    """Say which activities no recording shows; empty if all are there, or if looking would take long."""
    if kind == "uestc_mmea":
        from datamodules.sources.uestc_mmea import label_of

        there = {label_of(name.partition("/")[0].partition("_")[2]) for name in names}  # 1_upstairs/CLIP
    elif len(names) <= _READ:
        there = {part.activity for name in names for part in source.load(name).activities}
    else:
        return ""
    lacking = [name for name in activities if name not in there]
    if not lacking:
        return ""
    return f"no recording shows {', '.join(lacking)}; there are: {', '.join(sorted(there)) or 'no labels'}"


def need_weights(config: Config, option: str = "") -> Need:
    """Say if the weights of the video encoder can be loaded; the hub's are fetched into its cache now.

    Args:
        config: the experiment.
        option: how the command line names a file with them, for the message.
    """
    encoder = config.video_encoder
    named = encoder.preset if encoder.preset not in ("", "none") else encoder.name
    what = f"video encoder {named} ({f'its file: {option} PATH; ' if option else ''}weights: {encoder.weights})"
    if encoder.weights in ("random", "self_supervised"):
        return Need(what, {"random": "RANDOM weights, as asked for"}.get(encoder.weights, "trained here on the clips"))
    if encoder.weights != "pretrained" and not Path(encoder.weights).exists():
        return Need(what, missing=f"no file or folder {encoder.weights}")
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)  # ten lines of retries for each file
    try:
        check_video_encoder(config, load=True)
    except (MendableError, ValueError, OSError) as error:
        return Need(what, missing=str(error))
    return Need(what, "weights load")
