"""Memory that a training on processors frees and asks for again in each step."""

from __future__ import annotations

import ctypes
import os

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # M_MMAP_THRESHOLD and M_TRIM_THRESHOLD of malloc.h
_BLOCK = 64 * 2**20  # bytes; larger blocks are given back as before
_FREE = 2**31 - 1  # bytes at the heap's end that are kept: the most that mallopt takes


def keep_freed_memory() -> bool:
    """Let glibc keep what this process frees, in blocks of up to 64 MB, instead of giving it back to the system.

    A step's activations take tens of megabytes. Given back, they come again page by page, each cleared by the system:
    up to a tenth of a step on two cores. Call it where a training begins: what is freed later stays until the process
    ends, and a block that grows is copied instead of moved.

    Returns:
        whether glibc accepted it. Other systems, and who has chosen by malloc's own variables (``MALLOC_...``,
        ``GLIBC_TUNABLES``), stay as they are.
    """
    if "GLIBC_TUNABLES" in os.environ or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no glibc
        return False
    # Some versions refuse more than 32 MB.
    blocks = set_option(_MMAP_THRESHOLD, _BLOCK) or set_option(_MMAP_THRESHOLD, _BLOCK // 2)
    return bool(blocks and set_option(_TRIM_THRESHOLD, _FREE))
