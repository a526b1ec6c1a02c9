"""Exchange of tensors between processes in a ring.

Gathering the rows of all processes takes memory that grows with the number of processes. In a ring, each process holds
the rows of only one other process at a time.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from lightning_modules.losses.all_gather import rank, world_size


class RingExchange:
    """An asynchronous send to the next process, and a receive from the previous one.

    All processes must exchange at the same time, with tensors of the same shape and type.

    Args:
        tensor: tensor to send; it must not change before ``wait`` returns.
    """

    def __init__(self, tensor: Tensor) -> None:
        self._sent = tensor.contiguous()
        self._received = torch.empty_like(self._sent)
        own, processes = rank(), world_size()
        operations = [
            dist.P2POp(dist.isend, self._sent, (own + 1) % processes),
            dist.P2POp(dist.irecv, self._received, (own - 1) % processes),
        ]
        self._pending = dist.batch_isend_irecv(operations)

    def wait(self) -> Tensor:
        """Wait for the exchange and return the previous process's tensor."""
        for work in self._pending:
            work.wait()
        return self._received
