"""Figures of similarity matrices, for TensorBoard."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

# Set by hand: matplotlib's own layout takes three quarters of the drawing, in each validation.
_MARGINS = {"left": 0.13, "right": 0.9, "bottom": 0.12, "top": 0.92}


def similarity_figure(imu: Tensor, video: Tensor) -> Figure:
    """Plot the cosine similarity of every IMU window with every clip; training aims at a bright diagonal.

    Args:
        imu: (N, E) unit vectors.
        video: (N, E) unit vectors.
    """
    figure = Figure(figsize=(5.2, 4.4))
    axes = figure.subplots(gridspec_kw=_MARGINS)
    image = axes.imshow((imu @ video.T).float().cpu().numpy(), vmin=-1, vmax=1, cmap="RdBu_r")
    axes.set(xlabel="clip", ylabel="IMU window", title=f"similarity of {len(imu)} held-out pairs")
    figure.colorbar(image, label="cosine")
    return figure


def alignment_figure(similarity: Tensor, imu_input: dict[str, Any]) -> Figure:
    """Plot the cosine similarity of the IMU at each frame's time with each frame, inside one window.

    Args:
        similarity: (F, F).
        imu_input: ``samples`` and ``rate_hz`` of the window, for the title.
    """
    figure = Figure(figsize=(4.8, 4.2))
    axes = figure.subplots(gridspec_kw=_MARGINS)
    image = axes.imshow(similarity.float().cpu().numpy(), vmin=-1, vmax=1, cmap="RdBu_r")
    seconds = imu_input["samples"] / imu_input["rate_hz"]
    axes.set(xlabel="frame", ylabel="IMU at frame's time", title=f"inside one held-out window of {seconds:g} s")
    figure.colorbar(image, label="cosine")
    return figure
