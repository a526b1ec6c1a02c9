"""The errors of an evaluation."""

from __future__ import annotations

from core.errors import MendableError


class EvaluationError(MendableError, ValueError):
    """An evaluation that can't be done as asked; the message says what to change."""


class SplitError(MendableError, ValueError):
    """Data that can't be split as asked; the message says what was found and what is expected."""
