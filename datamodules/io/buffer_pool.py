"""Memory for batches that is used again as soon as nobody holds it.

Fresh memory for a batch of clips has to be cleared by the operating system page by page, which takes longer than
filling it. So batches live in buffers that go round. Who may hold a batch, and for how long? Anybody, for ever: a
buffer comes back when the last tensor, array or slice that looks into it is gone, and not before. Whoever keeps
batches costs memory, never a wrong value.

With CUDA the buffers are page-locked ("pinned") and come from PyTorch's own caching allocator, which follows the
same rule and also waits for copies to the device that are still under way.
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
    """Tensors in memory that goes round.

    Args:
        keep: free buffers that wait for their next use, at most.
        pinned: page-locked memory, for copies to a CUDA device that run beside the computation.
    """

    def __init__(self, keep: int = 8, pinned: bool = False) -> None:
        self.pinned = pinned
        # A deque's ends are safe to use from several threads, and from a finalizer in the middle of anything.
        self._free: deque[NDArray[np.uint8]] = deque(maxlen=keep)

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """A contiguous tensor whose values are whatever was there before."""
        if self.pinned:
            return torch.empty(shape, dtype=dtype, pin_memory=True)
        size = math.prod(shape) * dtype.itemsize
        if size == 0:
            return torch.empty(shape, dtype=dtype)
        memory = self._take(size)
        # Every view of this array refers to it, not to what is behind it: a memoryview is no array, so NumPy does not
        # look through it. The array therefore lives exactly as long as somebody can see the memory.
        lent = np.frombuffer(memory.data, np.uint8)
        weakref.finalize(lent, self._free.append, memory).atexit = False
        return torch.from_numpy(lent).view(dtype).view(shape)

    def _take(self, size: int) -> NDArray[np.uint8]:
        for _ in range(len(self._free)):
            try:
                memory = self._free.pop()  # what came back last is the likeliest to be in the processor's cache still
            except IndexError:  # another thread was faster
                break
            if memory.nbytes == size:
                return memory
            self._free.appendleft(memory)
        return np.empty(size, np.uint8)
