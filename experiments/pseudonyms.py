"""List of who is which pseudonym, for the owner of the key: ``python -m experiments.pseudonyms CONFIG [key=value]``.

Lists subjects and recordings of an experiment's data sets as CSV: kind, pseudonym, name. It needs the key and the
recordings, and prints names: its output stays where the key is. ``--explain PSEUDONYM`` says why a recording can't be
used.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.shown_text import csv_text
from experiments.runtime.command_line import EXIT_OK, EXIT_USAGE, guarded, program
from experiments.runtime.errors import UserError
from experiments.settings.layers import ConfigError, available

if TYPE_CHECKING:
    from datamodules.privacy.pseudonyms import Pseudonyms
    from experiments.settings.schema import Config

_COMMAND = "experiments.pseudonyms"
Row = tuple[str, str, str]


def run(config: Config, names: Sequence[str] = ()) -> list[Row]:
    """List (kind, pseudonym, name), sorted by kind and name.

    Args:
        config: the experiment.
        names: of subjects; empty takes those of all data sets, which are loaded where a listing does not tell them.

    Raises:
        PrivacyError: there is no key.
        RecordingError: a source can't be read; here with its own words.
    """
    from datamodules.privacy.pseudonyms import SUBJECT

    pseudonyms = _key(config)
    if names:
        return [(SUBJECT, pseudonyms.of(SUBJECT, name), name) for name in names]
    return sorted(set(_of_sources(config, pseudonyms)), key=lambda row: (row[0], row[2]))


def _key(config: Config) -> Pseudonyms:
    from datamodules.privacy.pseudonyms import Pseudonyms

    return Pseudonyms.of_file(config.privacy.key_file())


def _of_sources(config: Config, pseudonyms: Pseudonyms) -> Iterator[Row]:
    from core.errors import MendableError
    from datamodules.privacy.pseudonyms import RECORDING, SUBJECT
    from datamodules.sources.registry import make_source

    for key, dataset in config.datasets.items():
        if dataset.shared:
            print(f"{key}: shared by others, so its names are not here", file=sys.stderr)
            continue
        source = make_source(dataset.source.name, dataset.source.params)
        for name in source.names():
            yield RECORDING, pseudonyms.of(RECORDING, name), name
            try:
                subject = source.subject_of(name) or source.load(name).subject
            except MendableError as error:
                print(f"{name}: {error}", file=sys.stderr)
            else:
                yield SUBJECT, pseudonyms.of(SUBJECT, subject), subject


def explain(config: Config, asked: str) -> str:
    """Load a recording, and return what its source says, with names.

    Args:
        config: the experiment.
        asked: pseudonym or name of the recording.

    Raises:
        UserError: no data set has it.
        PrivacyError: there is no key.
    """
    from core.errors import MendableError
    from datamodules.privacy.pseudonyms import RECORDING
    from datamodules.sources.registry import make_source

    pseudonyms = _key(config)
    for dataset in config.datasets.values():
        if dataset.shared:
            continue
        try:
            source = make_source(dataset.source.name, dataset.source.params)
            for name in source.names():
                if asked in (name, pseudonyms.of(RECORDING, name)):
                    recording = source.load(name)
                    for video in recording.videos:
                        video.frame_times()
                    return f"{name}: it can be read; what the build says about it is in the quality report"
        except MendableError as error:
            return str(error)
    raise UserError(f"--explain: no data set of experiment '{config.experiment}' has a recording '{asked}'")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog=program(_COMMAND), description="Say who is which pseudonym; for the owner of the key."
    )
    parser.add_argument("config", help=f"{', '.join(available())}, or a .yaml file")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings that differ")
    parser.add_argument("--names", type=Path, metavar="FILE", help="names of subjects, a line each; default: all")
    parser.add_argument("--explain", default="", metavar="RECORDING", help="say why this recording can't be used")
    arguments = parser.parse_args(argv)

    def work() -> int:
        from experiments.privacy.names import read_names
        from experiments.settings.load import load

        try:
            config = load(arguments.config, ["privacy.pseudonyms=true", *arguments.overrides])
        except ConfigError as error:
            print(f"{parser.prog}: {error}", file=sys.stderr)
            return EXIT_USAGE
        if arguments.explain:
            print(explain(config, arguments.explain))
            return EXIT_OK
        names = [text for _, text in read_names(arguments.names)] if arguments.names else []
        sys.stdout.write(csv_text(("kind", "pseudonym", "name"), run(config, names)))
        return EXIT_OK

    return guarded(work, _COMMAND)


if __name__ == "__main__":
    sys.exit(main())
