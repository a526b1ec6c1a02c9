"""Queue of the latest embeddings of training, which offers more candidates than one batch.

The objective that owns a queue pushes once per training step, after the last loss that reads the queue. ``push`` fails
in eval mode, so validation can't push. Rows and their count are buffers: a checkpoint contains them, and a resumed run
continues with the same queue. Every process holds the same rows.

Shape legend: n rows of this process, N rows of all, S size, E width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lightning_modules.losses.all_gather import all_gather_rows


class EmbeddingQueue(nn.Module):
    """A first-in, first-out queue of embeddings, in float32 for any precision of training.

    Queues of equal size that are pushed together keep corresponding rows at the same index.

    Args:
        size: S, number of rows.
        width: E.

    Attributes:
        rows: (S, E); row i holds the last pushed row whose number is i modulo S.
        pushed: () int64, number of rows pushed so far.

    Raises:
        ValueError: size or width is below 1.
    """

    rows: Tensor
    pushed: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        if size < 1 or width < 1:
            raise ValueError(f"a queue needs a size and a width of at least 1, found {size} and {width}")
        self.register_buffer("rows", torch.zeros(size, width))
        self.register_buffer("pushed", torch.zeros((), dtype=torch.int64))
        # A copy of ``pushed`` on the host, readable without waiting for the device; None after loading a checkpoint.
        self._pushed: int | None = 0
        self.register_load_state_dict_post_hook(_forget_count)  # type: ignore[no-untyped-call]

    @property
    def filled(self) -> int:
        """Number of rows with an embedding, at most S."""
        if self._pushed is None:
            self._pushed = int(self.pushed)
        return min(self._pushed, len(self.rows))

    def contents(self) -> Tensor:
        """Return a copy of the pushed rows, (filled, E), in no particular order.

        Because of the copy, a push before the backward pass does not change tensors that autograd keeps.
        """
        return self.rows[: self.filled].clone()

    @torch.no_grad()
    def push(self, rows: Tensor) -> None:
        """Replace the oldest rows by the rows of all processes, in the order of ranks.

        Args:
            rows: (n, E), the same n on every process; all processes must take part.

        Raises:
            RuntimeError: the module is in eval mode.
            ValueError: the shape differs.
        """
        if not self.training:
            raise RuntimeError("this queue is in eval mode; it can be pushed only in training")
        size, width = self.rows.shape
        if rows.ndim != 2 or rows.shape[1] != width:
            raise ValueError(f"rows for this queue must be (n, {width}), found {tuple(rows.shape)}")
        everywhere = all_gather_rows(rows.detach().to(self.rows))
        if self._pushed is not None:
            self._pushed += len(everywhere)
        number = self.pushed + torch.arange(len(everywhere), device=everywhere.device)
        self.rows[number[-size:] % size] = everywhere[-size:]
        self.pushed += len(everywhere)


def _forget_count(queue: nn.Module, _: object) -> None:
    assert isinstance(queue, EmbeddingQueue)
    queue._pushed = None
