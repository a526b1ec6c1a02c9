"""Put shards and features into a folder to be sent: ``python -m experiments.share CONFIG --output DIR``.

With ``privacy.features_only`` the folder has no frame: motion windows, and the frozen video encoder's features. The
one who gets it trains and evaluates by ``DIR/experiment.yaml``, without recordings. ``docs/guides/privacy.md`` explains
it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.runtime.command_line import EXIT_OK, EXIT_USAGE, guarded, program
from experiments.runtime.errors import UserError
from experiments.settings.layers import NONE, ConfigError, available

if TYPE_CHECKING:
    from datamodules.shards.reader import ShardSet
    from encoders.contract import VideoEncoder
    from experiments.settings.schema import Config

_COMMAND = "experiments.share"
EXPERIMENT = "experiment.yaml"
_FREE_KEYS = ("paths", "checkpoint", "build")  # of this machine, or of its runs


def run(config: Config, folder: Path) -> list[str]:
    """Build what is missing, and write the folder; returns what is in it, a line each.

    Raises:
        UserError: the folder is not empty, or a data set lies in a store.
    """
    from experiments.artifacts.shards import open_dataset
    from experiments.artifacts.video_encoder import (
        SELF_SUPERVISED,
        WEIGHTS,
        features_of,
        open_video_encoder,
        self_supervised_weights,
    )
    from experiments.reports.build import write_if_stale
    from experiments.runtime.devices import set_threads
    from experiments.training.data import learns_from_video

    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder}: the folder is not empty; expected a new one, so that nothing else is sent with it")
    set_threads(config)
    sets = {key: open_dataset(config, key) for key in config.datasets}
    encoder: VideoEncoder | None = None
    key = config.video_dataset()
    if key is not None and learns_from_video(config.loss) and config.video_encoder.cache:
        encoder = open_video_encoder(config, sets[key])
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for name, shards in sets.items():
        into = folder / name
        _copy_shards(config, shards, into)
        write_if_stale(into)
        line = f"{into}: {shards.n_windows} windows"
        if encoder is not None and shards.settings.frames:
            line += f", {_copy_features(features_of(config, shards, name, encoder).directory, into)}"
        frames = bool(shards.settings.frames) and not config.privacy.features_only
        lines.append(f"{line}, {'WITH FRAMES' if frames else 'no frame'}")
    if encoder is not None and key is not None and config.video_encoder.weights == SELF_SUPERVISED:
        source = self_supervised_weights(config, sets[key])
        (folder / WEIGHTS).mkdir()
        shutil.copyfile(source, folder / WEIGHTS / source.name)
        lines.append(f"{folder / WEIGHTS}: the video encoder, which was trained on the frames")
    _write_experiment(config, folder)
    return lines


def _copy_shards(config: Config, shards: ShardSet, into: Path) -> None:
    from datamodules.build.without_frames import copy_without_frames
    from datamodules.shards.layout import INDEX
    from datamodules.shards.remote import RemoteShardSet

    if isinstance(shards, RemoteShardSet):
        raise UserError(f"{shards.directory}: these shards lie in a store; expected them in paths.data")
    if config.privacy.features_only:
        copy_without_frames(shards, into)
        return
    into.mkdir()
    for name in [*(entry.file for entry in shards.index.shards), INDEX]:  # the index last: then it is whole
        shutil.copyfile(Path(shards.directory) / name, into / name)


def _copy_features(source: Path | str, into: Path) -> str:
    from datamodules.features.meta import META, POOLED, RAW
    from experiments.artifacts.video_encoder import FEATURES

    digest = str(source).rpartition("-")[2]
    target = into / FEATURES / digest
    target.mkdir(parents=True)
    for name in (RAW, POOLED, META):
        shutil.copyfile(Path(source) / name, target / name)
    return f"features ({sum(path.stat().st_size for path in target.iterdir()) / 1e6:.1f} MB)"


def _write_experiment(config: Config, folder: Path) -> None:
    """Write the experiment that uses the folder: all settings, with the shared sets instead of their sources."""
    import yaml

    from core.durable import write_text
    from experiments.settings.load import plain

    content: dict[str, Any] = {name: value for name, value in plain(config).items() if name not in _FREE_KEYS}
    content["build"] = {"clocks": config.build.clocks}
    content["system"] = content["video_encoder"]["preset"] = NONE  # all that they say is in the settings already
    content["run"].pop("resume")
    content["trainer"].pop("trust")
    content["privacy"].pop("key")
    for name, dataset in content["datasets"].items():
        dataset["source"]["params"], dataset["shared"] = {}, name
    content["evaluation"].update(checkpoints={}, external={})
    write_text(folder / EXPERIMENT, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog=program(_COMMAND), description="Write shards and features of an experiment into a folder to be sent."
    )
    parser.add_argument("config", help=f"{', '.join(available())}, or a .yaml file")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings that differ")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="a folder that is empty or not there")
    arguments = parser.parse_args(argv)

    def work() -> int:
        from experiments.settings.load import load

        try:
            config = load(arguments.config, arguments.overrides)
        except ConfigError as error:
            print(f"{parser.prog}: {error}", file=sys.stderr)
            return EXIT_USAGE
        print("\n".join(run(config, arguments.output)))
        if not config.privacy.pseudonyms:
            print("NAMES AND PATHS ARE AS THEY ARE: privacy.pseudonyms is off")
        print(
            f"look for names before you send it: {program('experiments.privacy_audit')} {arguments.output}"
            f" --names names.txt\nwho gets it: {program('experiments.pretrain')} {arguments.output / EXPERIMENT}"
        )
        return EXIT_OK

    return guarded(work, _COMMAND)


if __name__ == "__main__":
    sys.exit(main())
