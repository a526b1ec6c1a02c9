"""A pool of reusable buffers for batches.

The operating system clears new memory for a batch of clips page by page, which takes longer than filling it. So batches
use buffers of a pool. Any caller may keep a batch for any time: a buffer returns to the pool only after the last
tensor, array or slice of it is gone. A kept batch costs memory, but its values never change.

With CUDA the buffers are page-locked ("pinned") and come from PyTorch's own caching allocator, which follows the
same rule and also waits for unfinished copies to the device.
"""

from __future__ import annotations

import math
import weakref
from collections import deque

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class BufferPool:
    """A pool of memory for tensors.

    Args:
        keep: most free buffers to keep for reuse.
        pinned: True uses page-locked memory, which a CUDA device can copy during computation.
    """

    def __init__(self, keep: int = 8, pinned: bool = False) -> None:
        self.pinned = pinned
        # Appends and pops of a deque are atomic: safe from several threads, and from a finalizer at any moment.
        self._free: deque[NDArray[np.uint8]] = deque(maxlen=keep)

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return a contiguous tensor with arbitrary values."""
        if self.pinned:
            return torch.empty(shape, dtype=dtype, pin_memory=True)
        size = math.prod(shape) * dtype.itemsize
        if size == 0:
            return torch.empty(shape, dtype=dtype)
        memory = self._take(size)
        # NumPy lets every view of this array refer to this array itself. (Its base is a memoryview, not an array, so
        # NumPy does not skip to the base.) The array therefore lives exactly as long as any view of the memory.
        lent = np.frombuffer(memory.data, np.uint8)
        weakref.finalize(lent, self._free.append, memory).atexit = False
        return torch.from_numpy(lent).view(dtype).view(shape)

    def _take(self, size: int) -> NDArray[np.uint8]:
        for _ in range(len(self._free)):
            try:
                memory = self._free.pop()  # the latest buffer is the likeliest to be in the processor's cache
            except IndexError:  # another thread took the last buffer
                break
            if memory.nbytes == size:
                return memory
            self._free.appendleft(memory)
        return np.empty(size, np.uint8)
