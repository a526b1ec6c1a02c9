"""Figure of ``benchmarks.clock_sync``: the ROC of the confidence, and the error over the length of a recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score, roc_curve

COLOURS = {"head": "#0072B2", "third_person": "#E69F00"}
NAMES = {"head": "head camera", "third_person": "camera that looks on"}


@dataclass(frozen=True)
class Judged:
    """One estimate: camera, sensor, seconds used, error (s; None for sensors of another subject), and its certainty."""

    camera: str
    place: str
    length_s: float
    error_s: float | None
    confidence: float
    certain: bool


def draw(judged: Sequence[Judged], session_s: float, right_s: float) -> Figure:
    """Draw the ROC of whole sessions by camera, all sensors together, and the median error over the length.

    Args:
        judged: estimates for pairs of one subject, and for unrelated pairs.
        session_s: length of a whole session.
        right_s: an error up to this is right; an unrelated pair never is.
    """
    figure = Figure(figsize=(9.5, 3.6), layout="constrained")
    roc, length = figure.subplots(1, 2)
    whole = [one for one in judged if one.length_s == session_s]
    for camera, colour in COLOURS.items():
        chosen = [one for one in whole if one.camera == camera]
        right = np.array([one.error_s is not None and abs(one.error_s) <= right_s for one in chosen])
        if right.all() or not right.any():
            continue
        confidence = np.array([one.confidence for one in chosen])
        wrong_share, right_share, _ = roc_curve(right, confidence)
        area = roc_auc_score(right, confidence)
        roc.plot(wrong_share, right_share, color=colour, label=f"{NAMES[camera]}: {area:.3f} ({len(chosen)} pairs)")
        certain = np.array([one.certain for one in chosen])
        roc.plot((certain & ~right).sum() / (~right).sum(), (certain & right).sum() / right.sum(), "o", color=colour)
    roc.set(xlabel="share of the wrong ones above", ylabel="share of the right ones above", ylim=(-0.02, 1.02))
    roc.set_title("ROC of the confidence; dots: what is certain", fontsize=10)
    roc.legend(loc="lower right", title="area", fontsize=8)
    shorter = {(one.camera, one.place) for one in judged if one.length_s < session_s}
    for camera, place in sorted(shorter):
        own = [one for one in judged if (one.camera, one.place) == (camera, place) and one.error_s is not None]
        lengths = sorted({one.length_s for one in own})
        errors = [[1000 * abs(one.error_s or 0.0) for one in own if one.length_s == value] for value in lengths]
        middle = [float(np.median(values)) for values in errors]
        length.plot(
            lengths, middle, "o-", color=COLOURS[camera], label=f"{NAMES[camera]}, {place.replace('_', ' ')} sensor"
        )
    length.set(xlabel="length of the recording (s)", ylabel="median error (ms)", yscale="log")
    length.axhline(20, color="0.6", lw=0.8, ls="--")
    length.set_title("Error over length; dashed: 20 ms", fontsize=10)
    length.legend(fontsize=8)
    return figure
