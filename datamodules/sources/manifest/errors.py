"""The error of a wrong manifest."""

from __future__ import annotations

import reprlib

from datamodules.recording import RecordingError

_repr = reprlib.Repr()
_repr.maxstring = 60
_repr.maxother = 60


class ManifestError(RecordingError):
    """A manifest that can't be used; the message names the file, the key, what was found and what is expected."""


def shown(value: object) -> str:
    """A value in a message, whatever its size."""
    return _repr.repr(value)
