"""Wording of times, for readers of all reports."""

from __future__ import annotations

_NB = " "


def duration(seconds: float) -> str:
    """Write a duration, such as 3.2 s, 4 min 05 s or 2 h 07 min; a browser keeps it on one line."""
    if seconds < 60:
        return f"{seconds:.1f}{_NB}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{_NB}min{_NB}{rest:02d}{_NB}s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,}{_NB}h{_NB}{minutes:02d}{_NB}min"
