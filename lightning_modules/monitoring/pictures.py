"""Pictures in the logs of training, for every logger that takes some."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Any

from lightning.pytorch.loggers import Logger
from matplotlib.figure import Figure
from PIL import Image
from torch.utils.tensorboard import SummaryWriter


def log_figures(loggers: Iterable[Logger], figures: Mapping[str, Figure], step: int) -> None:
    """Log figures by name: to TensorBoard, and to loggers with ``log_image``, as Weights & Biases has it."""
    for logger in loggers:
        writer: Any = getattr(logger, "experiment", None)
        for name, figure in figures.items():
            if hasattr(writer, "add_figure"):
                writer.add_figure(name, figure, step, close=False)
            elif hasattr(logger, "log_image"):
                logger.log_image(key=name, images=[_pixels(figure)], step=step)


def add_encoded(writer: SummaryWriter, name: str, content: bytes, step: int) -> None:
    """Add a PNG or GIF to TensorBoard's images, which shows such files as they are, moving ones too."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    width, height = Image.open(io.BytesIO(content)).size
    image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=content)
    files: Any = writer  # its own class has no annotations
    files._get_file_writer().add_summary(Summary(value=[Summary.Value(tag=name, image=image)]), step)


def _pixels(figure: Figure) -> Image.Image:
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return Image.open(content)
