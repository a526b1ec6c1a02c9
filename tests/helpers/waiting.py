"""Finds where a training step would wait for its device, on machines that have none but the processor."""

from __future__ import annotations

import traceback
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_aten = torch.ops.aten
# What gives the host a number, or a size that depends on values.
_WAITS = {
    _aten._local_scalar_dense,
    _aten.equal,
    _aten.nonzero,
    _aten.masked_select,
    _aten.unique_dim,
    _aten._unique2,
    _aten.unique_consecutive,
}
_INDEXING = {_aten.index, _aten.index_put, _aten.index_put_, _aten._index_put_impl_}


class Waiting(TorchDispatchMode):
    """Notes every operation, forward and backward, for which a GPU would have to finish what it is at.

    Attributes:
        found: a line for each: the operation and the innermost lines of code that led to it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        packet = func.overloadpacket
        by_mask = packet in _INDEXING and any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in args[1])
        across = packet is _aten._to_copy and (kwargs or {}).get("device") not in (None, args[0].device)
        if packet in _WAITS or by_mask or across:
            lines = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_stack()[:-1]]
            own = [line for line in lines if "/torch/" not in line]
            self.found.append(f"{packet.__name__} at {' < '.join(reversed(own[-4:]))}")
        return func(*args, **(kwargs or {}))
