"""The base of all errors that a user can mend."""

from __future__ import annotations


class MendableError(Exception):
    """An error that its user can mend; commands print its message without a traceback.

    The message names the file or the setting, what was found, and what is expected.
    """


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, at most 200 characters, or its kind where it has none.

    Of an error of YAML, whose message shows the place in several lines: the place and what is wrong there.
    """
    lines = str(error).strip().splitlines()
    text = lines[0].strip() if lines else type(error).__name__
    if (mark := getattr(error, "problem_mark", None)) is not None:
        text = f"line {mark.line + 1}, column {mark.column + 1}: {getattr(error, 'problem', None) or text}"
    return text if len(text) <= 200 else f"{text[:200]}..."
