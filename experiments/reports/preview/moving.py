"""Moving pictures: the frames of a window one after the other, and a cursor that runs along its IMU traces."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from experiments.reports.preview.scene import Scene, draw_traces

_DPI = 100
_CURSOR = (213, 94, 0)  # Okabe and Ito's vermilion, which no trace has
_HALF_WIDTH = 1  # of the cursor, pixels
_SLOWEST_MS, _FASTEST_MS = 1000, 40  # for how long a frame may be shown


def moving_picture(scene: Scene) -> bytes:
    """Draw a window as a GIF that plays in the time that it took.

    Args:
        scene: with one frame at least.

    Returns:
        The file's content: a picture for each frame, and a vertical line at the frame's time across both traces.

    Raises:
        ValueError: the window has no frames.
    """
    if not scene.frames:
        raise ValueError(f"{scene.title}: no frames to show")
    figure = Figure(figsize=(7.2, 3.0), dpi=_DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplot_mosaic([["film", "acceleration"], ["film", "rate"]], width_ratios=[1, 1.9])
    axes["acceleration"].sharex(axes["rate"])
    axes["acceleration"].tick_params(labelbottom=False)
    draw_traces(axes["acceleration"], axes["rate"], scene)
    film = axes["film"].imshow(scene.frames[0][1])
    axes["film"].set_axis_off()
    figure.suptitle(scene.title, fontsize=10)
    canvas.draw()  # type: ignore[no-untyped-call]
    figure.set_layout_engine("none")  # nothing moves from here on
    still = np.asarray(canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]
    height = len(still)
    box = film.get_window_extent()
    left, right = round(box.x0), round(box.x1)
    top, bottom = height - round(box.y1), height - round(box.y0)
    spans = []
    for name in ("acceleration", "rate"):
        extent = axes[name].get_window_extent()
        spans.append((height - round(extent.y1), height - round(extent.y0)))
    pictures = []
    for time, pixels in scene.frames:
        picture = still.copy()
        frame = Image.fromarray(pixels).resize((right - left, bottom - top), Image.Resampling.BILINEAR)
        picture[top:bottom, left:right] = np.asarray(frame)
        column = round(axes["rate"].transData.transform((time, 0))[0])
        for upper, lower in spans:
            picture[upper:lower, column - _HALF_WIDTH : column + _HALF_WIDTH + 1] = _CURSOR
        pictures.append(picture)
    return _gif(pictures, _durations_ms(np.array([time for time, _ in scene.frames])))


def _durations_ms(times: NDArray[np.float64]) -> list[int]:
    """For how long each frame is shown: until the next one; the last one as long as the others."""
    gaps = np.diff(times) * 1000
    usual = float(np.median(gaps)) if len(gaps) else _SLOWEST_MS
    return [int(gap) for gap in np.clip([*gaps, usual], _FASTEST_MS, _SLOWEST_MS)]


def _gif(pictures: list[NDArray[np.uint8]], durations_ms: list[int]) -> bytes:
    content = io.BytesIO()
    first, *others = (Image.fromarray(picture) for picture in pictures)
    first.save(content, "GIF", save_all=True, append_images=others, duration=durations_ms, loop=0)
    return content.getvalue()
