"""Fits that several methods share: the same trees are in a method, in a mean, and under an adaptation."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar, cast

T = TypeVar("T")


class SharedFits:
    """The latest results by their keys; each is computed once, also where several threads ask at the same time.

    Args:
        kept: number of results that are kept; the one that was asked for longest ago goes first.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._lock = threading.Lock()
        self._found: OrderedDict[Hashable, Future[Any]] = OrderedDict()

    def once(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Give the result of this key; compute it if it is not there, or wait for the thread that does."""
        with self._lock:
            found = self._found.get(key)
            mine = found is None
            if found is None:
                found = self._found[key] = Future()
                while len(self._found) > self._kept:
                    self._found.popitem(last=False)
            self._found.move_to_end(key)
        if mine:
            try:
                found.set_result(compute())
            except BaseException as error:
                found.set_exception(error)
                with self._lock:
                    if self._found.get(key) is found:
                        del self._found[key]
                raise
        return cast("T", found.result())
