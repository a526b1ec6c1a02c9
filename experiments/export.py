"""A network for programs without this package: ``python -m experiments.export RUN|HEAD|NAME --output FOLDER``.

Takes a head's folder, or an encoder as ``encoders.load_imu_encoder`` takes it: a run, a folder, ``default``. Writes
``model.onnx``, ``model.int8.onnx``, ``program.pt2`` (torch.export), ``preprocessing.json`` and ``report.json``. Before
that, it compares the outputs with those of torch; if one differs by more than 1e-4, it writes nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.runtime.command_line import EXIT_OK, guarded

if TYPE_CHECKING:
    from experiments.inference.graph import Exportable
    from experiments.inference.onnx_files import Traced

_COMMAND = "experiments.export"
PREPROCESSING, REPORT = "preprocessing.json", "report.json"
_ROWS = 1000


def run(
    what: str, folder: Path, shards: Path | None = None, rows: int = _ROWS, allow_incomplete: bool = False
) -> dict[str, Any]:
    """Export, verify and write; returns the report.

    Args:
        what: a head's folder, or an encoder.
        folder: for the files.
        shards: folder of shards whose windows are compared; None makes windows up.
        rows: at most so many windows.
        allow_incomplete: take the checkpoint of a training that was stopped, too; the files then say so.

    Raises:
        InferenceError: it can't be exported, or the outputs differ; nothing is written then.
        IncompleteError: a checkpoint of a training that is not complete.
    """
    import shutil
    import tempfile
    from dataclasses import asdict
    from functools import partial

    from core.durable import write_atomically, write_json
    from experiments.inference import export_checks as checks
    from experiments.inference.graph import open_exportable
    from experiments.inference.onnx_files import (
        INT8,
        MODEL,
        PROGRAM,
        OnnxModel,
        trace,
        write_int8,
        write_onnx,
        write_program,
    )
    from experiments.runtime.sole_writer import turn, writing_lock

    exportable = open_exportable(what, allow_incomplete)
    windows = checks.of_shards(exportable, shards, rows) if shards else checks.made_up(exportable, rows)
    traced = trace(exportable)
    with tempfile.TemporaryDirectory() as name:
        made = Path(name)
        write_onnx(exportable, traced, made / MODEL)
        model = OnnxModel(made / MODEL)
        worst, expected = checks.check_parity(exportable, traced, model, windows)
        write_int8(made / MODEL, made / INT8)
        small = OnnxModel(made / INT8)
        write_program(traced, made / PROGRAM)
        report: dict[str, Any] = {
            "of": exportable.about,
            "windows": len(windows),
            "real_windows": shards is not None,
            "largest_difference": worst,
            "tolerance": checks.TOLERANCE,
            "int8": asdict(checks.cost_of_int8(exportable, expected, small.run(exportable.inputs(windows)), windows)),
            "bytes": {file: (made / file).stat().st_size for file in (MODEL, INT8, PROGRAM)},
            "milliseconds_a_window_on_one_core": {
                file: checks.latency_ms(exportable, one, windows) for file, one in ((MODEL, model), (INT8, small))
            },
        }
        folder.mkdir(parents=True, exist_ok=True)
        with turn(writing_lock(folder), f"writes into {folder}"):  # files of one network only
            for file in (MODEL, INT8, PROGRAM):
                write_atomically(folder / file, partial(shutil.copyfile, made / file))
            write_json(folder / PREPROCESSING, preprocessing(exportable, traced))
            write_json(folder / REPORT, report)
    return report


def preprocessing(exportable: Exportable, traced: Traced) -> dict[str, Any]:
    """What has to happen before the network, and what happens inside it."""
    from datamodules.handcrafted import FEATURE_NAMES
    from datamodules.recording import CHANNELS
    from experiments.inference.export_checks import settings_for_users

    shape = exportable.imu_input
    samples: str | int = "samples" if traced.any_length else shape.samples
    inputs: dict[str, Any] = {
        "imu": {
            "shape": ["batch", samples, len(CHANNELS)],
            "type": "float32",
            "channels": list(CHANNELS),
            "units": ["m/s^2"] * 3 + ["rad/s"] * 3,
            "gravity": "included",
            "missing": "0, with False in a mask",
        },
        "channel_mask": {
            "shape": ["batch", len(CHANNELS)],
            "type": "bool",
            "meaning": "False for a channel that the device lacks",
        },
        "sample_mask": {
            "shape": ["batch", samples],
            "type": "bool",
            "meaning": "False for a sample that was not measured",
        },
    }
    if exportable.handcrafted:
        inputs["handcrafted"] = {
            "shape": ["batch", len(FEATURE_NAMES)],
            "type": "float32",
            "meaning": "datamodules.handcrafted.handcrafted_features of the same windows; it needs numpy alone",
            "gyroscope": "as measured" if exportable.gyroscope else "masked",
        }
    return {
        "format": "imu-video-har export 1",
        "of": exportable.about,
        "inputs": inputs,
        "outputs": list(exportable.graph.outputs),
        "classes": list(exportable.classes),
        "rate_hz": shape.rate_hz,
        "samples": shape.samples,
        "any_length": traced.any_length,
        "resampling": (
            "to rate_hz by time stamps, after a low-pass below half of it (datamodules.signal.resample: pass band to"
            " 0.4, stop band from 0.5 of rate_hz, then a cubic spline); gaps are not filled"
        ),
        "normalisation": {"mode": exportable.normalisation, "where": "inside the network"},
        "probabilities": "calibrated, inside the network" if exportable.classes else None,
        "windows": settings_for_users(exportable.window),
    }


def lines(report: dict[str, Any]) -> list[str]:
    """The report for a terminal."""
    int8, size, took = report["int8"], report["bytes"], report["milliseconds_a_window_on_one_core"]
    kind = "real" if report["real_windows"] else "made-up"
    said = [
        f"largest difference from torch: {report['largest_difference']:.2g} on {report['windows']:,} {kind} windows"
        f" (at most {report['tolerance']:g})"
    ]
    for file in ("model.onnx", "model.int8.onnx"):
        ms = took[file]
        said.append(
            f"{file}: {size[file] / 1e6:.2f} MB, {ms['median']:.2f} ms a window on one core"
            f" (fastest {ms['least']:.2f}, 95 % below {ms['p95']:.2f})"
        )
    cost = f"int8: cosine to single precision {int8['similarity']:.4f}"
    if int8["agreement"] is not None:
        cost += f", the same activity in {100 * int8['agreement']:.1f} % of windows"
    if int8["accuracy"] is not None:
        whom = "people whom the head never saw" if int8["new_people"] else "people whom the head was fitted on"
        change = 100 * (int8["accuracy_int8"] - int8["accuracy"])
        interval = "" if int8["low"] is None else f" [{100 * int8['low']:+.1f}, {100 * int8['high']:+.1f}]"
        cost += (
            f"; right in {100 * int8['accuracy_int8']:.1f} % of the windows instead of {100 * int8['accuracy']:.1f} %:"
            f" {change:+.1f} points{interval} ({int8['labelled']:,} labelled windows of {int8['people']} {whom})"
        )
    return [*said, cost]


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {_COMMAND}", description="Export an encoder or a head to ONNX and torch.export."
    )
    parser.add_argument("what", metavar="RUN|HEAD|NAME", help="e.g. runs/simulator/default, its head folder, default")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="where the files go")
    parser.add_argument(
        "--shards", type=Path, metavar="FOLDER", help="compare on windows of these shards; default: made-up windows"
    )
    parser.add_argument("--windows", type=int, default=_ROWS, metavar="N", help="how many; default: %(default)s")
    parser.add_argument(
        "--allow-incomplete",
        action="store_true",
        help="take the checkpoint of a training that was stopped, too; the files then say so",
    )
    arguments = parser.parse_args(argv)

    def work() -> int:
        report = run(arguments.what, arguments.output, arguments.shards, arguments.windows, arguments.allow_incomplete)
        print("\n".join(lines(report)))
        print(f"written: {arguments.output}; {PREPROCESSING} says what the network expects")
        return EXIT_OK

    return guarded(work, _COMMAND)


if __name__ == "__main__":
    sys.exit(main())
