"""The error of inputs, saved encoders and saved heads that can't be used."""

from __future__ import annotations

from core.errors import MendableError


class InferenceError(MendableError, ValueError):
    """An array, a saved encoder or a saved head that can't be used; the message says what to change."""
