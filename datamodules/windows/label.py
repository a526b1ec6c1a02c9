"""Label of a window: the activity that covers enough of it."""

from __future__ import annotations

from datamodules.recording import Interval


def label_of(activities: tuple[Interval, ...], start: float, end: float, min_share: float) -> str:
    """Return the activity with the largest share of ``start <= t < end``, or "" if its share is below ``min_share``."""
    covered: dict[str, float] = {}
    for interval in activities:
        overlap = min(end, interval.end) - max(start, interval.start)
        if overlap > 0:
            covered[interval.activity] = covered.get(interval.activity, 0.0) + overlap
    if not covered or end <= start:
        return ""
    best = max(covered, key=lambda activity: covered[activity])
    return best if covered[best] >= min_share * (end - start) - 1e-9 else ""
