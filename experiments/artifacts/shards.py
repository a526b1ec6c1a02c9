"""Shards of a configured data set: their folder, their build, and opening them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, fields, replace
from pathlib import Path

from core.settings import check_settings
from core.suggestions import did_you_mean
from datamodules.build.origins import refuse_changed
from datamodules.build.run import BuildReport, build
from datamodules.clock_sync.apply_offset import parse_clocks_mode
from datamodules.recording import RecordingError
from datamodules.shards.reader import ShardSet
from datamodules.shards.remote import RemoteShardSet
from datamodules.windows.settings import WindowSettings
from experiments.artifacts.stores import local_cache, stored
from experiments.runtime.console import console, progress_bar
from experiments.runtime.errors import UserError
from experiments.settings.load import plain
from experiments.settings.privacy import key_of, source_of
from experiments.settings.schema import Config


def dataset_directory(config: Config, key: str) -> Path:
    """Name the folder of a data set's shards; a digest of the settings at its end separates other settings.

    Raises:
        UserError: the data set is not configured, or its source's settings are wrong.
        RecordingError: the manifest can't be used.
    """
    if key not in config.datasets:
        known = ", ".join(config.datasets) or "none"
        raise UserError(f"there is no data set '{key}' among 'datasets' of experiment '{config.experiment}': {known}")
    if shared := config.datasets[key].shared:
        return Path(shared)
    dataset = plain(config)["datasets"][key]
    del dataset["window"], dataset["shared"]  # the first is among the settings of windows
    window = window_settings(config, key)
    parts = {"dataset": dataset, "window": asdict(window)}
    try:
        source = source_of(config, key)
        if key_id := source.key_id():
            parts["pseudonyms"] = key_id
        clocks = parse_clocks_mode(config.build.clocks)
        if config.datasets[key].camera and window.frames and clocks != "off":
            parts["clocks"] = clocks
        if fingerprint := source.open().fingerprint():
            parts["manifest"] = fingerprint
    except RecordingError:
        raise
    except ValueError as error:  # wrong settings of the source or of build.clocks
        raise UserError(f"data set '{key}': {error}") from error
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:10]
    return Path(config.paths.data) / "shards" / config.experiment / f"{key}-{digest}"


def window_settings(config: Config, key: str) -> WindowSettings:
    """Lay a data set's own settings of windows over those of the experiment.

    Raises:
        UserError: there is no such setting, or it has a wrong value.
    """
    changes = config.datasets[key].window
    known = [field.name for field in fields(WindowSettings)]
    for name in changes:
        if name not in known:
            raise UserError(
                f"datasets.{key}.window: there is no setting '{name}'; expected some of {', '.join(known)}"
                f"{did_you_mean(name, known)}"
            )
    found = replace(config.window, **changes)
    try:
        check_settings(found, f"datasets.{key}.window")
    except ValueError as error:
        raise UserError(str(error)) from error
    return found


def build_dataset(config: Config, key: str) -> BuildReport:
    """Build a data set's missing shards, with a progress bar.

    Raises:
        UserError: no window was left (the message gives the reasons), or the source's settings are wrong.
        RecordingError: a recording can't be used, with ``build.on_bad=raise``.
    """
    directory = dataset_directory(config, key)
    dataset = config.datasets[key]
    try:
        with progress_bar() as bar:
            task = bar.add_task(f"shards of {key}", total=None)
            report = build(
                dataset.source.name,
                dataset.source.params,
                directory,
                window_settings(config, key),
                dataset.placement,
                dataset.camera or None,
                subjects=dataset.subjects,
                workers=config.build.workers,
                scheduler=config.build.scheduler,
                recordings_per_shard=config.build.recordings_per_shard,
                clocks=config.build.clocks,
                on_bad=config.build.on_bad,
                key=key_of(config),
                progress=lambda done, total: bar.update(task, completed=done, total=total),
                waits=lambda: console.print(f"another process builds {directory}; waiting until it has ended"),
            )
    except RecordingError:
        raise
    except ValueError as error:  # wrong settings of a source, or a folder with other content
        raise UserError(f"data set '{key}': {error}") from error
    if report.index.n_windows == 0:
        raise UserError(
            f"data set '{key}' has no windows:\n{report}\n"
            f"for details of the build: python -m experiments.quality_report {directory}"
        )
    if report.built:
        console.print(str(report), highlight=False, markup=False)
    return report


def open_dataset(config: Config, key: str) -> ShardSet:
    """Open a data set's shards, from ``paths.data`` or the store; missing shards are built first.

    With ``run.on_damage=skip``, all windows are read and compared with their checksums, and damaged ones are left out.

    Raises:
        UserError: the shards can't be built.
        ShardError: they are damaged.
        ChangedSourceError: a recording's file has changed since the shards were built from it.
    """
    shards = _open(config, key)
    if config.run.on_damage == "skip" and (number := shards.skip_damaged()):
        console.print(
            f"{shards.directory}: {number} of {shards.n_windows} windows are damaged and are left out"
            f" (run.on_damage=skip); they are listed by: python -m experiments.check_shards {shards.directory}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    return shards


def _open(config: Config, key: str) -> ShardSet:
    directory = dataset_directory(config, key)
    if config.datasets[key].shared:
        return _shared(config, key, directory)
    if not (directory / "index.json").is_file():
        if (folder := stored(config, directory, "index.json")) is not None:
            return RemoteShardSet.open_folder(folder, local_cache(config))
        build_dataset(config, key)
    else:
        refuse_changed(directory)
    return ShardSet.open(directory)


def _shared(config: Config, key: str, directory: Path) -> ShardSet:
    """Open a data set that ``experiments.share`` wrote.

    Raises:
        UserError: the set has other people or windows than the settings say, or names where pseudonyms are asked for.
        ShardError: there are no shards.
    """
    shards, dataset = ShardSet.open(directory), config.datasets[key]
    build, where = shards.index.build, f"datasets.{key}.shared: '{directory}'"
    if config.privacy.pseudonyms and "pseudonyms" not in build:
        raise UserError(f"{where} was made without privacy.pseudonyms, so its names are real; turn the setting off")
    if dataset.subjects and sorted(dataset.subjects) != sorted(build["subjects"]):
        raise UserError(
            f"{where} has other people than datasets.{key}.subjects names; expected none there: 'shared' says who"
        )
    expected = window_settings(config, key)
    if (found := shards.settings) != replace(expected, frames=expected.frames if dataset.camera else 0):
        different = [f.name for f in fields(WindowSettings) if getattr(found, f.name) != getattr(expected, f.name)]
        raise UserError(
            f"{where} was made with other settings of windows ({', '.join(different)}); use its experiment.yaml"
        )
    return shards
