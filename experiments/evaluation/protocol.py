"""Computation of an evaluation's cells: which are missing, and what runs side by side.

Cells are computed side by side in threads, which hand what takes long to processes. Methods that train an encoder run
one after the other on a GPU, and where they are few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from experiments.evaluation import encoder_training
from experiments.evaluation.cells import Cell, CellResult
from experiments.evaluation.plan import Unit, plan_units
from experiments.evaluation.targets import System, Target
from experiments.evaluation.thread_warnings import threads_fit
from experiments.evaluation.unit_computation import compute_unit
from experiments.evaluation.unit_order import in_turn
from experiments.evaluation.worker_pool import TRAININGS_WORTH_IT, WORTH_IT, kill_workers, worker_pool
from experiments.runtime.processors import cores
from experiments.settings.schema import Config

Load = Callable[[Cell], CellResult | None]
Save = Callable[[CellResult], None]
Progress = Callable[[int, int, str], None]
Elsewhere = Callable[[Config, Sequence[Unit]], Iterator[tuple[Unit, list[CellResult]]]]


def run_protocol(
    config: Config,
    targets: Sequence[Target],
    systems: Sequence[System],
    load: Load,
    save: Save,
    progress: Progress,
) -> list[CellResult]:
    """Plan an evaluation and run it; see :func:`experiments.evaluation.plan.plan_units` and :func:`run_units`."""
    return run_units(config, plan_units(config, targets, systems), load, save, progress)


def run_units(
    config: Config,
    units: Sequence[Unit],
    load: Load,
    save: Save,
    progress: Progress,
    elsewhere: Elsewhere | None = None,
) -> list[CellResult]:
    """Compute all cells that ``load`` does not know.

    Args:
        config: ``evaluation`` is used.
        units: from :func:`experiments.evaluation.plan.plan_units`.
        load: a finished cell's result, or None.
        save: called with each result as soon as it is there, from one thread.
        progress: called with the number of finished cells, of all cells, and the title of the next ones.
        elsewhere: computes units on other machines, see :mod:`experiments.evaluation.cell_cluster`; None for this one.

    Returns:
        One result per cell, in the plan's order.

    Raises:
        EvaluationError: a method gave no valid scores.
        LeakError: a method read labels of tested windows, or scored these windows twice.
    """
    results: dict[str, CellResult] = {}
    missing = []
    for unit in units:
        kept = {cell.key: load(cell) for cell in unit.cells}
        results |= {key: result for key, result in kept.items() if result is not None}
        # Only the perturbations that have no result yet are left in a unit: nothing is scored twice.
        new = [
            (c, perturbation)
            for c, perturbation in zip(unit.cells, unit.perturbations, strict=True)
            if kept[c.key] is None
        ]
        if new:
            missing.append(replace(unit, cells=tuple(c for c, _ in new), perturbations=tuple(c for _, c in new)))
    total = sum(len(unit.cells) for unit in units)
    missing = in_turn(missing)
    computed = (
        elsewhere(config, missing)
        if elsewhere and missing
        else _computed(config, missing, lambda unit: progress(len(results), total, _title(unit)))
    )
    for unit, done in computed:
        for result in done:
            results[result.cell.key] = result
            save(result)
        progress(len(results), total, _title(unit))
    progress(total, total, "evaluated")
    return [results[cell.key] for unit in units for cell in unit.cells]


def _computed(
    config: Config, units: Sequence[Unit], starts: Callable[[Unit], None]
) -> Iterator[tuple[Unit, list[CellResult]]]:
    workers = config.evaluation.workers or cores()
    trained = [unit for unit in units if unit.method.trained]
    on_gpu = any(unit.features.device.type != "cpu" for unit in trained)
    apart = trained if on_gpu or workers == 1 or len(trained) < TRAININGS_WORTH_IT else []
    beside = units if not apart else [unit for unit in units if not unit.method.trained]
    models = sum(unit.method.needs_labels for unit in beside)
    needs = [encoder_training.__name__] if trained and not apart else []
    processes = workers if models >= WORTH_IT or needs else 1
    # Many small solvers run side by side. With threads of their own they would only wait for each other.
    with (
        threadpool_limits(1),
        threads_fit(),
        worker_pool(processes, needs),
        ThreadPoolExecutor(workers) as pool,
    ):
        waiting = [pool.submit(compute_unit, config, unit) for unit in beside]
        try:
            # In the plan's order, so that the same one of several errors is raised each time.
            for unit, future in zip(beside, waiting, strict=True):
                if unit.method.trained:
                    starts(unit)
                yield unit, future.result()
        except BaseException:
            kill_workers()  # a training takes minutes: nobody waits for what will not be used
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    for unit in apart:
        starts(unit)
        yield unit, compute_unit(config, unit)


def _title(unit: Unit) -> str:
    cell = unit.cells[0]
    return f"{cell.dataset}: {cell.contender}, {cell.shots} {'shots' if cell.shots_unit == 'windows' else 'subjects'}"
