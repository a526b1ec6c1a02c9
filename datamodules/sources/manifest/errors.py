"""What is raised where a manifest, not a recording, is wrong."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable

from datamodules.recording import RecordingError

_repr = reprlib.Repr()
_repr.maxstring = 60
_repr.maxother = 60


class ManifestError(RecordingError):
    """A manifest that can't be used; the message names the file, the key, what was found and what is expected."""


def did_you_mean(word: object, choices: Iterable[object]) -> str:
    """A hint for a message, where one of the choices is close to the word; otherwise nothing."""
    by_text = {str(choice).lower(): str(choice) for choice in choices}
    close = difflib.get_close_matches(str(word).lower()[:200], list(by_text), n=1, cutoff=0.5)
    return f"; did you mean '{by_text[close[0]]}'?" if close else ""


def shown(value: object) -> str:
    """A value in a message, whatever its size."""
    return _repr.repr(value)
