"""The Hugging Face hub, or its cache where the hub can't be reached: one attempt, and no lines about retries."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

_PATIENCE_S = 10.0


@dataclass(frozen=True)
class Hub:
    """The hub as it was found.

    Attributes:
        address: its address.
        reached: True if it answered; otherwise only the cache is read.
    """

    address: str
    reached: bool

    def why(self, error: BaseException) -> str:
        """Say in one line why something could not be had."""
        if not self.reached:
            return f"not in the cache, and {self.address} can't be reached"
        return f"{type(error).__name__}: {(str(error).strip() or 'no reason given').splitlines()[0]}"


@contextmanager
def hub_or_cache() -> Iterator[Hub]:
    """Ask the hub once if it is there; if not, huggingface_hub reads its cache alone inside the block.

    Without this, each file is asked for six times, with a line each, for half a minute.
    """
    constants: Any = importlib.import_module("huggingface_hub.constants")
    logger = logging.getLogger("huggingface_hub")
    level, offline = logger.level, bool(constants.HF_HUB_OFFLINE)
    hub = Hub(str(constants.ENDPOINT), not offline and _answers(str(constants.ENDPOINT)))
    logger.setLevel(logging.ERROR)
    constants.HF_HUB_OFFLINE = not hub.reached
    try:
        yield hub
    finally:
        logger.setLevel(level)
        constants.HF_HUB_OFFLINE = offline


def _answers(address: str) -> bool:
    session = importlib.import_module("huggingface_hub").get_session()
    try:
        session.head(address, timeout=_PATIENCE_S)
    except Exception:
        # By its version, huggingface_hub asks through requests, httpx or httpx2, each with errors of its own: no
        # network, a proxy, a certificate, an address that is none. After any of them the cache is all there is.
        return False
    return True
