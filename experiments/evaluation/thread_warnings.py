"""Warnings of models that are fitted in several threads."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_RACE = "`sklearn.utils.parallel.delayed` should be used with"


@contextmanager
def threads_fit() -> Iterator[None]:
    """Keep a warning back that scikit-learn gives by mistake where several threads fit its forests.

    The project's own forests do not go through these classes; a method from outside may.

    Each tree sets the filters of warnings aside for a moment. They belong to all threads, so that another forest may
    find none, and takes that for a wrong call. A filter can't help then, since there is none in that moment.
    """
    show = warnings.showwarning

    def show_others(message: Warning | str, *arguments: object, **options: object) -> None:
        if not str(message).startswith(_RACE):
            show(message, *arguments, **options)  # type: ignore[arg-type]

    warnings.showwarning = show_others
    try:
        yield
    finally:
        warnings.showwarning = show
