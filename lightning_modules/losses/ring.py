"""What each process holds, shown to all the others in turn, one neighbour at a time.

Where rows of all processes have to meet each other, gathering them takes memory that grows with their number. Passed
around a ring, there is never more than one visitor.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from lightning_modules.losses.all_gather import rank, world_size


class RingExchange:
    """A tensor under way to the next process, and the previous process's to this one.

    Every process has to pass on at the same time, tensors of the same shape and type.

    Args:
        tensor: of this process; not to be written to before ``arrived``.
    """

    def __init__(self, tensor: Tensor) -> None:
        self._leaving = tensor.contiguous()
        self._coming = torch.empty_like(self._leaving)
        me, processes = rank(), world_size()
        operations = [
            dist.P2POp(dist.isend, self._leaving, (me + 1) % processes),
            dist.P2POp(dist.irecv, self._coming, (me - 1) % processes),
        ]
        self._waiting = dist.batch_isend_irecv(operations)

    def arrived(self) -> Tensor:
        """The previous process's tensor; waits for it."""
        for work in self._waiting:
            work.wait()
        return self._coming
