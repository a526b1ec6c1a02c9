"""Python's garbage collector during a training."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def earlier_objects_left_out() -> Iterator[None]:
    """Let the collector look at what is made inside alone.

    Python looks for old garbage only when it may be a quarter of everything, and imports alone make half a million
    objects. Figures, which are garbage that only the collector finds, would add up to tens of megabytes meanwhile.
    """
    gc.collect()
    gc.freeze()
    gc.collect()  # which counts again how much everything is
    try:
        yield
    finally:
        gc.unfreeze()
