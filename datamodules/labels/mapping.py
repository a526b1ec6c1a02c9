"""LabelColumn that the activities of all sources share, so that data sets can be each other's out-of-distribution test.

``common_labels.py`` is the table: for each source, each of its labels that has a counterpart among the paper's
activities, a line of its own. A label without one is no label then, and is counted.

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
    """A source whose activities have no common names; the message lists those that have."""


@dataclass(frozen=True)
class Renamed:
    """Labels by their common names, and what became of them.

    Attributes:
        activities: (N,) common names, "" where there is none.
        kept: (source, label, common name) -> windows.
        left_out: (source, label) -> windows without a counterpart.
    """

    activities: LabelColumn
    kept: Counter[tuple[str, str, str]]
    left_out: Counter[tuple[str, str]]

    def __str__(self) -> str:
        """For people: a line a source."""
        return "\n".join(f"  {line}" for line in self.lines())

    def lines(self) -> list[str]:
        """Of each source, how many windows of which label have which common name, and what has none."""
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
    """Common names of windows' labels.

    Args:
        sources: (N,) name of each window's source.
        activities: (N,) labels in that source's own words, "" for none.

    Raises:
        CommonActivitiesError: the table has no source of that name.
    """
    renamed = np.full(len(activities), -1)
    common = list(COMMON)
    kept: Counter[tuple[str, str, str]] = Counter()
    left_out: Counter[tuple[str, str]] = Counter()
    for source in distinct(sources):
        if source not in COMMON_LABELS:
            raise CommonActivitiesError(
                f"the activities of source '{source}' have no common names; there are those of"
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
