"""The base of all errors that a user can mend."""

from __future__ import annotations


class MendableError(Exception):
    """An error that its user can mend; commands print its message without a traceback.

    The message names the file or the setting, what was found, and what is expected.
    """
