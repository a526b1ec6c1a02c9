"""Suggestions for mistyped names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LONGEST = 200  # characters that are compared: a whole file may stand where a word should


def did_you_mean(word: object, choices: Iterable[object], prefix: str = "", most: int = 1) -> str:
    """Suggest what a mistyped word was probably meant to be.

    Args:
        word: as it was found.
        choices: the valid ones.
        prefix: what the message puts before a suggestion, e.g. the path of a setting's group.
        most: suggestions.

    Returns:
        ``; did you mean 'width'?``, or nothing where no choice is close.
    """
    by_text = {str(choice).lower(): str(choice) for choice in choices}
    close = difflib.get_close_matches(str(word).lower()[:_LONGEST], list(by_text), n=most, cutoff=0.5)
    if not close:
        return ""
    return f"; did you mean {' or '.join(repr(prefix + by_text[text]) for text in close)}?"
