"""The error of an evaluation."""

from __future__ import annotations

from core.errors import MendableError


class EvaluationError(MendableError, ValueError):
    """An evaluation that can't be done as asked; the message says what to change."""
