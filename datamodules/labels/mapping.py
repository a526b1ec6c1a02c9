"""Renaming of activities to common names, so that one data set can test a model of another.

``common_names.py`` holds the table of each source's labels with their common names. Windows with a label that has no
common name become unlabelled, and are counted.

Shape legend: N windows.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from core.errors import MendableError
from datamodules.labels.common_names import COMMON, COMMON_LABELS
from datamodules.labels.label_column import UNLABELLED, LabelColumn, distinct, from_codes


class CommonActivitiesError(MendableError, ValueError):
    """A source's activities have no common names; the message lists the sources that have."""


@dataclass(frozen=True)
class Renamed:
    """Common names of labels, with counts of windows.

    Attributes:
        activities: (N,) common names, "" where there is none.
        kept: (source, label, common name) -> number of windows.
        left_out: (source, label) -> number of windows whose label has no common name.
    """

    activities: LabelColumn
    kept: Counter[tuple[str, str, str]]
    left_out: Counter[tuple[str, str]]

    def __str__(self) -> str:
        """Return a description for people, one line per source."""
        return "\n".join(f"  {line}" for line in self.lines())

    def lines(self) -> list[str]:
        """Describe the renamed labels and the left-out labels of each source, with numbers of windows."""
        lines = []
        for source in sorted({key[0] for key in [*self.kept, *self.left_out]}):
            kept = [f"{label} -> {name} {n}" for (of, label, name), n in sorted(self.kept.items()) if of == source]
            left = {label: n for (of, label), n in sorted(self.left_out.items()) if of == source}
            line = f"{source}: {', '.join(kept) or 'no label has a common name'}"
            if left:
                listed = ", ".join(f"{label} {n}" for label, n in left.items())
                line += f"; without a counterpart, left out: {sum(left.values())} windows ({listed})"
            lines.append(line)
        return lines


def rename(sources: LabelColumn, activities: LabelColumn) -> Renamed:
    """Replace windows' labels by their common names.

    Args:
        sources: (N,) name of each window's source.
        activities: (N,) labels in the words of the source, "" for none.

    Raises:
        CommonActivitiesError: the table has no source with this name.
    """
    renamed = np.full(len(activities), -1)
    common = list(COMMON)
    kept: Counter[tuple[str, str, str]] = Counter()
    left_out: Counter[tuple[str, str]] = Counter()
    for source in distinct(sources):
        if source not in COMMON_LABELS:
            raise CommonActivitiesError(
                f"the activities of source '{source}' have no common names; the sources with common names are"
                f" {', '.join(COMMON_LABELS)} (datamodules/labels/common_names.py)"
            )
        own = sources == source
        for label in distinct(activities[own]):
            windows = own & (activities == label)
            name = COMMON_LABELS[source].get(label)
            if name is not None:
                renamed[windows] = common.index(name)
                kept[source, label, name] = int(windows.sum())
            elif label != UNLABELLED:
                left_out[source, label] = int(windows.sum())
    return Renamed(from_codes(renamed, common), kept, left_out)
