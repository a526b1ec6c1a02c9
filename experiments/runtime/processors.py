"""Cores of this machine, counted without importing torch."""

from __future__ import annotations

import os


def cores() -> int:
    """Count the processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
