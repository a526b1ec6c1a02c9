"""The last embeddings of training, kept as a wider choice than one batch offers.

Who pushes, and when: the objective that owns the queue, once a training step, after the last loss that reads it.
Never in validation: ``push`` refuses in eval mode. Rows and their count are buffers, so that a checkpoint has
them and a resumed run goes on with the same queue. Every process holds the same rows.

Shape legend: n rows of this process, N rows of all, S size, E width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lightning_modules.losses.all_gather import all_gather_rows


class EmbeddingQueue(nn.Module):
    """First in, first out; float32 whatever the precision of training.

    Queues of one size that are pushed together keep rows that belong together at one index.

    Args:
        size: S, rows kept.
        width: E.

    Attributes:
        rows: (S, E); row i holds the last pushed row whose number is i modulo S.
        pushed: () int64, rows pushed so far.

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
        # The same number, to be read without waiting for the device; None once a checkpoint was loaded.
        self._pushed: int | None = 0
        self.register_load_state_dict_post_hook(_forget_count)  # type: ignore[no-untyped-call]

    @property
    def filled(self) -> int:
        """Rows that hold an embedding, at most S."""
        if self._pushed is None:
            self._pushed = int(self.pushed)
        return min(self._pushed, len(self.rows))

    def contents(self) -> Tensor:
        """What has been pushed: (filled, E), in no particular order.

        A copy, so that a push before the backward pass changes nothing that autograd has kept.
        """
        return self.rows[: self.filled].clone()

    @torch.no_grad()
    def push(self, rows: Tensor) -> None:
        """Put the rows of all processes in, by rank, in place of the oldest.

        Args:
            rows: (n, E), the same n on every process; all processes must take part.

        Raises:
            RuntimeError: the module is in eval mode.
            ValueError: the shape is another.
        """
        if not self.training:
            raise RuntimeError("a queue is pushed in training only, but this one is in eval mode")
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
