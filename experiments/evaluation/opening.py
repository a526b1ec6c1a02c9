"""Everything that an evaluation's cells are computed from, opened from the settings alone.

The command does it, and so does every worker of a cluster: both then have the same plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.evaluation.adaptation import find_contender
from experiments.evaluation.ledger import Ledger
from experiments.evaluation.methods import Method
from experiments.evaluation.plan import Unit, plan_units
from experiments.evaluation.plan_checks import externals
from experiments.evaluation.systems import load_checkpoints, open_systems
from experiments.evaluation.target_data import open_targets
from experiments.evaluation.targets import System, Target
from experiments.settings.schema import Config


@dataclass(frozen=True)
class Opened:
    """An opened evaluation.

    Attributes:
        methods: the methods that are compared, with their adaptations.
        targets: targets, whose shards are there.
        systems: systems, with their prototypes.
        ledger: which encoder has seen whom.
        remarks: what readers should know of the systems.
    """

    methods: Sequence[Method]
    targets: Sequence[Target]
    systems: Sequence[System]
    ledger: Ledger
    remarks: list[str]

    def plan(self, config: Config) -> list[Unit]:
        """Plan the cells, see :func:`experiments.evaluation.plan.plan_units`."""
        return plan_units(config, self.targets, self.systems, self.ledger)


def open_evaluation(config: Config) -> Opened:
    """Load checkpoints, open or build shards, and make prototypes.

    Raises:
        EvaluationError: a method, a checkpoint or a target can't be used.
        SplitError: subjects or activities of a target can't be split.
    """
    methods = [find_contender(name) for name in config.evaluation.methods]
    checkpoints = load_checkpoints(config, methods)  # what is wrong with one is said before shards are built
    targets = open_targets(config)
    systems, remarks = open_systems(config, methods, targets, checkpoints)
    ledger = Ledger.of(config, targets, systems, externals(config, methods, targets))
    return Opened(methods, targets, systems, ledger, remarks)
