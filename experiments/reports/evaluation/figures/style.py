"""Style of contenders, the same in all figures."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.reports.evaluation.titles import in_order, method_title, parts_of, within
from experiments.statistics.results import Estimate

# Okabe and Ito's palette works with any kind of colour vision; markers differ too.
_METHODS = {
    "linear_probe": ("#0072B2", "o"),
    "finetune": ("#D55E00", "s"),
    "supervised": ("#009E73", "^"),
    "random_frozen": ("#56B4E9", "v"),
    "handcrafted_rf": ("#CC79A7", "D"),
    "zero_shot": ("#E69F00", "*"),
    "majority": ("#7F7F7F", "x"),
    # The palette has only eight colours. Variants take darker ones.
    "knn": ("#000000", "P"),
    "nearest_mean": ("#4D4D4D", "H"),
    "finetune_paper": ("#8C3B00", "<"),
    "finetune_tuned": ("#B8860B", ">"),
    "zero_shot_target": ("#6B4E00", "p"),
    "zero_shot_text": ("#5E3C99", "h"),
    "handcrafted_logistic": ("#A64D79", "d"),
    "handcrafted_trees": ("#741B47", "X"),
    "handcrafted_mean": ("#E6A8C9", "D"),
    "hybrid_logistic": ("#003F5C", "o"),
    "hybrid_mean": ("#2F6F8F", "8"),
    "hybrid_random": ("#9EC9E2", "v"),
    "catch22": ("#7A9A01", "1"),
    "minirocket": ("#4B6A00", "2"),
    "minirocket_logistic": ("#6E8B1F", "2"),
    "hydra": ("#B5C76B", "3"),
    "handcrafted_hydra": ("#C2568D", "p"),
    "hybrid_hydra": ("#1F4E66", "h"),
    "external": ("#A6761D", "4"),
    "whitened_logistic": ("#8C8C5A", "1"),
    "transfer_probe": ("#5AA17F", "2"),
    "transfer_logistic": ("#1B7A4B", "o"),
    "transfer_mean": ("#0B4F30", "8"),
    "transfer_hydra": ("#06301D", "h"),
    "transfer_hybrid": ("#0B2F4F", "s"),
}
_OTHERS = (("#01665E", "X"), ("#8C510A", "d"), ("#762A83", "H"), ("#1B7837", "8"))
_SYSTEMS = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.2, 1, 1.2)), (0, (2, 2)))


@dataclass(frozen=True)
class Style:
    """Look of a contender: colour and marker stand for the method, the line for system and adaptation."""

    colour: str
    marker: str
    line: Any


def style_of(contender: str, listed: Sequence[str]) -> Style:
    """Choose the style of a contender among those of a target."""
    method, system = parts_of(contender)[0], _variant(contender)
    systems = ["", *sorted({_variant(name) for name in listed} - {""})]
    line = _SYSTEMS[systems.index(system) % len(_SYSTEMS)] if system in systems else "-"
    if method in _METHODS:
        return Style(*_METHODS[method], line)
    unknown = sorted({parts_of(name)[0] for name in listed} - _METHODS.keys())
    at = unknown.index(method) if method in unknown else 0
    return Style(*_OTHERS[at % len(_OTHERS)], line)


def _variant(contender: str) -> str:
    _, adaptations, system = parts_of(contender)
    return "+".join([system, *adaptations])


def bars(values: Sequence[Estimate]) -> NDArray[np.float64] | None:
    """Compute lengths of error bars below and above the mean of shares, (2, K); None without intervals."""
    if any(math.isnan(v.low) for v in values):
        return None
    ends = [within(v) for v in values]
    lengths = [[max(v.mean - low, 0), max(high - v.mean, 0)] for v, (low, high) in zip(values, ends, strict=True)]
    return 100 * np.array(lengths).T


def tidy(axis: Axes, grid: str = "y") -> None:
    """Draw a light grid, and remove the frame where there is no axis."""
    axis.grid(axis=grid, color="0.9")  # type: ignore[arg-type]
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def percent_limits(axis: Axes) -> None:
    """Set limits of 0 to 100 %, with room for markers at the ends."""
    axis.set_ylim(-2, 102)
    axis.set_yticks(range(0, 101, 20))


def legend(figure: Figure, handles: dict[str, Any], order: Sequence[str] | None = None) -> None:
    """Draw the legend beside the axes, in the given order or that of the tables."""
    names = [name for name in (order or in_order(handles)) if name in handles]
    figure.legend(
        [handles[name] for name in names],
        [wrapped(name) for name in names],
        loc="outside right center",
        frameon=False,
        fontsize=9,
        handlelength=3,
    )


def wrapped(contender: str, width: int = 42) -> str:
    """Write a contender's title on as many lines of ``width`` characters as it takes."""
    return textwrap.fill(method_title(contender), width)


def lines_of(contenders: Iterable[str]) -> int:
    """Count the lines of a legend."""
    return sum(wrapped(name).count("\n") + 1 for name in contenders)


def short(value: str, length: int = 28) -> str:
    """Turn a name from data into a label: shortened in its middle, and without mathematics."""
    plain = re.sub(r"\s+", " ", value.replace("_", " ")).replace("$", r"\$")
    return plain if len(plain) <= length else f"{plain[: length - 9]}…{plain[-8:]}"


def titled(dataset: str, flags: str) -> str:
    """Write a target's name and flags as the title of a narrow figure, on two lines if needed."""
    name = short(dataset, 60)
    return f"{name}{flags}" if len(name) + len(flags) <= 64 else f"{name}\n{flags.strip()}"
