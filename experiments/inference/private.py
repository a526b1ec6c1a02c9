"""Recordings to predict, under pseudonyms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from datamodules.privacy.pseudonyms import RECORDING, Pseudonyms
from datamodules.privacy.source import quiet
from datamodules.recording import ImuStream
from experiments.inference.recordings import Recorded

_SHOW = "--no-pseudonyms shows it"
_LEFT_OUT = "notes on how it was read may hold names and are left out (--no-pseudonyms shows them)"


def under_pseudonyms(recordings: Iterable[Recorded], key: Path) -> Iterator[Recorded]:
    """Give each recording its pseudonym; errors and notes of reading, which may hold names, lose their words.

    Args:
        recordings: with their names.
        key: file of the key, which is made on first use.

    Raises:
        PrivacyError: others may read the key, or it is none.
        RecordingError: a recording can't be used.
    """
    pseudonyms = Pseudonyms.of_file(key, make=True)
    coming = iter(recordings)
    number = 0
    while True:
        number += 1
        recorded = quiet(f"recording {number}", lambda: next(coming, None), _SHOW)
        if recorded is None:
            return
        yield _private(recorded, pseudonyms)


def _private(recorded: Recorded, pseudonyms: Pseudonyms) -> Recorded:
    name = pseudonyms.of(RECORDING, recorded.name)
    notes: list[str] = []

    def stretches() -> Iterator[ImuStream]:
        while True:
            stretch = quiet(name, lambda: next(recorded.stretches, None), _SHOW)
            if recorded.notes and not notes:  # complete once all stretches were gone through
                notes.append(_LEFT_OUT)
            if stretch is None:
                return
            yield replace(stretch, origin=name)

    return replace(recorded, name=name, stretches=stretches(), notes=notes)
