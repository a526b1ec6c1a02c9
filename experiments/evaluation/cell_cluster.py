"""Computation of an evaluation's cells by the workers of a Dask cluster, whose machines share the folders.

A worker opens the evaluation from its settings and makes the same plan, so that only keys of cells and results travel.
A cell's key holds a digest of the data, of the checkpoint and of the settings: a worker that finds others has no cell
of that key, and says so. All cells of a draw are one task, since they share fits.
"""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from core.digest import digest_of
from datamodules.build import dask_client
from experiments.evaluation.cells import CellResult
from experiments.evaluation.errors import EvaluationError
from experiments.evaluation.opening import open_evaluation
from experiments.evaluation.plan import Unit
from experiments.evaluation.unit_computation import compute_unit
from experiments.evaluation.unit_order import in_tasks
from experiments.runtime.devices import set_threads
from experiments.settings.load import to_yaml
from experiments.settings.schema import Config

SETTING = "evaluation.scheduler"
_PACKAGES = ("core", "datamodules", "encoders", "lightning_modules", "experiments")
_LIBRARIES = ("lightning", "numpy", "pandas", "scikit-learn", "scipy", "torch")

# What this worker has opened: digest of the settings -> units by the keys of their cells.
_opened: dict[str, dict[str, Unit]] = {}
_one_at_a_time = threading.Lock()


def computed_on(address: str, config: Config, units: Sequence[Unit]) -> Iterator[tuple[Unit, list[CellResult]]]:
    """Compute units on a cluster; yield each with its results as soon as they are there.

    Args:
        address: ``tcp://host:port`` of the Dask scheduler.
        config: all settings; the same paths must hold on all machines.
        units: units without a result yet.

    Raises:
        EvaluationError: the cluster can't be used, a worker differs from this process, or a method failed.
    """
    distributed, client = dask_client.connect(address, SETTING, EvaluationError)
    try:
        dask_client.wait_for_a_worker(distributed, client, address, SETTING, EvaluationError)
        yield from _from_workers(distributed, client, address, config, units)
    finally:
        client.close()


def _from_workers(
    distributed: Any, client: Any, address: str, config: Config, units: Sequence[Unit]
) -> Iterator[tuple[Unit, list[CellResult]]]:
    executor, software = client.get_executor(pure=False), _software()
    token = digest_of(sorted(unit.cells[0].key for unit in units))
    waiting = {}
    for number, together in enumerate(in_tasks(units)):
        keys = [[cell.key for cell in unit.cells] for unit in together]
        future = executor.submit(compute, config, keys, software, key=f"cells-{token}-{number}")
        waiting[future] = together
    try:
        for future in as_completed(waiting):
            yield from zip(waiting[future], future.result(), strict=True)
    except distributed.scheduler.KilledWorker as error:
        raise EvaluationError(
            f"{SETTING}: Dask workers died again and again (killed, or out of memory) at one task of"
            f" {address}. Finished cells are kept"
        ) from error
    except CancelledError as error:
        raise EvaluationError(f"{SETTING}: the Dask scheduler at {address} is gone. Finished cells are kept") from error
    except (ImportError, AttributeError) as error:
        raise EvaluationError(
            f"{SETTING}: a worker of {address} can't load this package: {error}; install the same version there"
        ) from error
    finally:
        for future in waiting:
            future.cancel()


def compute(config: Config, keys: list[list[str]], software: dict[str, str]) -> list[list[CellResult]]:
    """Compute cells on a worker.

    Args:
        config: all settings.
        keys: for each unit the keys of its cells that have no result yet.
        software: versions of the process that asks.

    Raises:
        EvaluationError: this worker has other versions, data or checkpoints; the message names it.
    """
    with _one_at_a_time:  # torch's random state, and what is opened, are the process's
        try:
            if different := dask_client.other_versions(software, _software()):
                raise EvaluationError(different)
            units = _units(config, [unit[0] for unit in keys])
            if missing := [unit[0] for unit in keys if unit[0] not in units]:
                raise EvaluationError(
                    f"it plans other cells (none has the key {missing[0]}): it finds other data or checkpoints at"
                    f" the same paths (relative ones start at {Path.cwd()} there)"
                )
            return [compute_unit(config, _only(units[wanted[0]], wanted)) for wanted in keys]
        except EvaluationError as error:
            raise EvaluationError(f"Dask worker on {platform.node()} (process {os.getpid()}): {error}") from error


def _units(config: Config, keys: Sequence[str]) -> dict[str, Unit]:
    """Open an evaluation, or take the last one if its cells have these keys."""
    settings = digest_of(to_yaml(config))
    if not set(keys) <= _opened.get(settings, {}).keys():
        _opened.clear()
        set_threads(config)
        threadpool_limits(1)  # as on one machine, where many small solvers run side by side
        _opened[settings] = {cell.key: unit for unit in open_evaluation(config).plan(config) for cell in unit.cells}
    return _opened[settings]


def _only(unit: Unit, keys: Sequence[str]) -> Unit:
    """Keep a unit's cells of these keys."""
    kept = [(cell, p) for cell, p in zip(unit.cells, unit.perturbations, strict=True) if cell.key in keys]
    return replace(unit, cells=tuple(cell for cell, _ in kept), perturbations=tuple(p for _, p in kept))


def _software() -> dict[str, str]:
    return dask_client.software(_PACKAGES, _LIBRARIES)
