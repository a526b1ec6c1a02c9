"""The error that commands print without a traceback."""

from __future__ import annotations

from core.errors import MendableError


class UserError(MendableError, RuntimeError):
    """Settings contradict each other, or a file is missing; shown without a traceback."""
