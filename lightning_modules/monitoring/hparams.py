"""TensorBoard's table of hyperparameters: one short list of columns for every run, of pretraining or evaluation.

TensorBoard takes the columns of the first run that it finds. So all runs declare the same ones, and leave out what they
do not have. A metric's value is the last one of the scalar of that name.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

TARGETS = 3  # of an evaluation, that have columns of their own
NUMBERS = ("seed", "epochs", "batch size", "learning rate", "labels an activity")
TEXTS = (
    "run",
    "system",
    "IMU encoder",
    "video encoder",
    "objectives",
    "method",
    *(f"target {number}" for number in range(1, TARGETS + 1)),
)
METRICS = (
    "training/loss",
    "validation/mrr",
    "validation/alignment_error_ms",
    *(f"with the most labels/accuracy on target {number}" for number in range(1, TARGETS + 1)),
)


def begin(writer: SummaryWriter, values: Mapping[str, str | float]) -> None:
    """Write a run's row, whose metrics follow as scalars.

    Args:
        writer: of the run.
        values: some of ``NUMBERS`` and ``TEXTS``.

    Raises:
        KeyError: there is no such column.
    """
    every: dict[str, str | float] = {**dict.fromkeys(NUMBERS, 0.0), **dict.fromkeys(TEXTS, "")}
    for name, value in values.items():
        if isinstance(every[name], str) != isinstance(value, str):
            raise KeyError(f"{name}: expected a {type(every[name]).__name__}, found {value!r}")
    metrics = dict.fromkeys(METRICS, 0.0)
    columns, _, _ = hparams(every, metrics)
    _, row, _ = hparams(dict(values), metrics)
    for summary in (columns, row):
        writer._get_file_writer().add_summary(summary)


def end(writer: SummaryWriter) -> None:
    """Write that a run is complete."""
    writer._get_file_writer().add_summary(hparams({}, {})[2])
