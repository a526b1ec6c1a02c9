"""Files of an exported network: a program of torch.export, an ONNX model, its int8 twin, and what goes into each.

Needs the extra ``export``: onnx, onnxscript and onnxruntime.

Shape legend: B windows, T samples.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.export import Dim, ExportedProgram

from experiments.inference.errors import InferenceError
from experiments.inference.graph import Exportable, Windows

MODEL, INT8, PROGRAM = "model.onnx", "model.int8.onnx", "program.pt2"
_NEEDED = "expected onnx, onnxscript and onnxruntime; run: pip install 'imu-video-har[export]'"
_SHORTEST, _LONGEST = 32, 1 << 16  # samples a window, where the length is free


@dataclass(frozen=True)
class Traced:
    """A program, and whether its windows may have any length."""

    program: ExportedProgram
    any_length: bool


def trace(exportable: Exportable) -> Traced:
    """Trace the network for any number of windows, and any length where the architecture allows it.

    Raises:
        InferenceError: torch can't export this architecture.
    """
    samples = exportable.imu_input.samples
    with _quiet():
        if samples > _SHORTEST:
            with contextlib.suppress(Exception):  # patchtst and limu_bert_x have one length; torch says so in many ways
                return Traced(_program(exportable, True), True)
        try:
            return Traced(_program(exportable, False), False)
        except Exception as error:
            raise InferenceError(f"torch.export can't export this network: {_first_line(error)}") from error


def write_program(traced: Traced, path: Path) -> None:
    """Write the program of torch.export."""
    with _quiet():
        torch.export.save(traced.program, path)


def write_onnx(exportable: Exportable, traced: Traced, path: Path) -> None:
    """Convert the program to ONNX, all weights inside the file.

    Raises:
        InferenceError: the packages are missing, or ONNX lacks an operation.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InferenceError(f"export: {_NEEDED}") from error
    names = list(exportable.inputs(blank(exportable, 2)))
    dynamic = {0: "batch", 1: "samples"} if traced.any_length else {0: "batch"}
    shapes = {name: dynamic if name in ("imu", "sample_mask") else {0: "batch"} for name in names}
    with _quiet():
        try:
            made = torch.onnx.export(
                traced.program,
                dynamo=True,
                verbose=False,
                external_data=False,
                input_names=names,
                output_names=list(exportable.graph.outputs),
                dynamic_shapes=tuple(shapes.values()),
            )
        except Exception as error:
            raise InferenceError(f"ONNX lacks an operation of this network: {_first_line(error)}") from error
    assert made is not None
    made.save(path)


def write_int8(model: Path, path: Path) -> None:
    """Write the model with its matrices in 8 bits; what flows between them stays in single precision.

    Raises:
        InferenceError: onnxruntime is missing.
    """
    try:
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        raise InferenceError(f"export: {_NEEDED}") from error
    with _quiet():
        quantize_dynamic(model, path, weight_type=QuantType.QInt8, per_channel=True)


class OnnxModel:
    """A model that onnxruntime runs on one core.

    Args:
        path: of the ``.onnx`` file.

    Raises:
        InferenceError: onnxruntime is missing.
    """

    def __init__(self, path: Path) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise InferenceError(f"export: {_NEEDED}") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.session: Any = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.names = [output.name for output in self.session.get_outputs()]

    def run(self, inputs: dict[str, NDArray[np.generic]], batch: int = 256) -> dict[str, NDArray[np.generic]]:
        """All outputs by name."""
        rows = len(next(iter(inputs.values())))
        parts = [
            self.session.run(None, {name: value[i : i + batch] for name, value in inputs.items()})
            for i in range(0, rows, batch)
        ]
        return {name: np.concatenate(found) for name, found in zip(self.names, zip(*parts, strict=True), strict=True)}


def blank(exportable: Exportable, rows: int) -> Windows:
    """Windows of zeros, measured throughout."""
    samples = exportable.imu_input.samples
    return Windows(
        np.zeros((rows, samples, 6), np.float32),
        np.ones((rows, 6), bool),
        np.ones((rows, samples), bool),
        np.full(rows, ""),
    )


def _program(exportable: Exportable, any_length: bool) -> ExportedProgram:
    inputs = {name: torch.from_numpy(value) for name, value in exportable.inputs(blank(exportable, 3)).items()}
    batch = Dim("batch", min=1, max=_LONGEST)
    both = {0: batch, 1: Dim("samples", min=_SHORTEST, max=_LONGEST)} if any_length else {0: batch}
    shapes = {name: both if name in ("imu", "sample_mask") else {0: batch} for name in inputs}
    with torch.no_grad():
        return torch.export.export(
            exportable.graph, tuple(inputs.values()), dynamic_shapes=tuple(shapes.values()), strict=False
        )


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    summary = [line for line in lines if "No ONNX function" in line]
    return f"{type(error).__name__}: {(summary or lines or [''])[0][:300]}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Torch's exporter and the quantiser print progress and advice for their developers."""
    loggers = [logging.getLogger(), logging.getLogger("torch.onnx"), logging.getLogger("onnxscript")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
