"""TensorBoard's table of hyperparameters: one short list of columns for every run, of pretraining or evaluation.

TensorBoard takes the columns of the first run that it finds. So all runs declare the same ones, and leave out what they
do not have. A metric's value is the last one of the scalar of that name.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from torch.utils.tensorboard import SummaryWriter

TARGETS = 12  # of an evaluation, that have columns of their own; the experiments that come along have up to 7
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
SHOWN = ("labels an activity", "method", "objectives", "run", "target 1")  # TensorBoard shows five at first
_ACCURACIES = tuple(f"with the most labels/accuracy on target {number}" for number in range(1, TARGETS + 1))
METRICS = (_ACCURACIES[0], "validation/mrr", "training/loss", *_ACCURACIES[1:], "validation/alignment_error_ms")


def begin(writer: SummaryWriter, values: Mapping[str, str | float]) -> None:
    """Write a run's row, whose metrics follow as scalars.

    Args:
        writer: of the run.
        values: some of ``NUMBERS`` and ``TEXTS``.

    Raises:
        KeyError: there is no such column.
        TypeError: a column of numbers got a text, or the other way round.
    """
    for name, value in values.items():
        if name not in NUMBERS + TEXTS:
            raise KeyError(name)
        if isinstance(value, str) != (name in TEXTS):
            raise TypeError(f"{name}: expected a {'text' if name in TEXTS else 'number'}, found {value!r}")
    kinds = dict.fromkeys(NUMBERS, api_pb2.DATA_TYPE_FLOAT64) | dict.fromkeys(TEXTS, api_pb2.DATA_TYPE_STRING)
    columns = [api_pb2.HParamInfo(name=name, type=kind, differs=name in SHOWN) for name, kind in kinds.items()]
    metrics = [api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag)) for tag in METRICS]
    start = plugin_data_pb2.SessionStartInfo(start_time_secs=time.time())
    for name, value in values.items():
        if isinstance(value, str):
            start.hparams[name].string_value = value
        else:
            start.hparams[name].number_value = value
    experiment = api_pb2.Experiment(hparam_infos=columns, metric_infos=metrics)
    _write(writer, metadata.EXPERIMENT_TAG, experiment=experiment)
    _write(writer, metadata.SESSION_START_INFO_TAG, session_start_info=start)


def end(writer: SummaryWriter) -> None:
    """Write that a run is complete."""
    done = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=time.time())
    _write(writer, metadata.SESSION_END_INFO_TAG, session_end_info=done)


def _write(writer: SummaryWriter, tag: str, **content: Any) -> None:
    data = plugin_data_pb2.HParamsPluginData(version=metadata.PLUGIN_DATA_VERSION, **content)
    about = metadata.create_summary_metadata(data)
    value = Summary.Value(tag=tag, tensor=metadata.NULL_TENSOR, metadata=about)
    files: Any = writer  # its own class has no annotations
    files._get_file_writer().add_summary(Summary(value=[value]))
