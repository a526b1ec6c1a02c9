"""Memory that a training on processors frees and asks for again in each step."""

from __future__ import annotations

import ctypes
import os

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # M_MMAP_THRESHOLD and M_TRIM_THRESHOLD of malloc.h
_LARGEST = 2**31 - 1  # bytes, of what mallopt takes


def keep_freed_memory() -> bool:
    """Let glibc keep freed memory for this process, up to 2 GB of it, instead of giving it back to the system.

    A step's activations take tens of megabytes. Given back, they come again page by page, each cleared by the system on
    one core: a tenth of a step on two cores. The most that the process takes is the same.

    Returns:
        whether it is done: other systems, and who has chosen by malloc's own variables (``MALLOC_...``,
        ``GLIBC_TUNABLES``), stay as they are.
    """
    if "GLIBC_TUNABLES" in os.environ or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no glibc
        return False
    # Some versions refuse more than half of a heap of a thread, 32 MB.
    blocks = set_option(_MMAP_THRESHOLD, _LARGEST) or set_option(_MMAP_THRESHOLD, 32 * 2**20)
    return bool(blocks and set_option(_TRIM_THRESHOLD, _LARGEST))
