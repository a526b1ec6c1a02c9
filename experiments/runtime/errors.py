"""The error of commands."""

from __future__ import annotations

from core.errors import MendableError


class UserError(MendableError, RuntimeError):
    """Settings that don't fit together, or something that is missing; shown without a traceback."""
