"""Evidence that a reader needs to believe a number: who saw whom, what was refused, how large the shift was."""

from __future__ import annotations

from dataclasses import dataclass, field

from experiments.evaluation.ledger import Ledger, Refused
from experiments.evaluation.shifts import ShiftRow
from experiments.reports.evaluation.titles import method_title, parts_of

REFUSED = "refused"


@dataclass(frozen=True)
class Evidence:
    """Facts about an evaluation besides its results.

    Attributes:
        ledger: whom each encoder has seen.
        refused: cells that were not computed for that.
        shifts: sizes of shift.
        of_checkpoints: methods, without adaptations, that use a checkpoint.
    """

    ledger: Ledger = field(default_factory=lambda: Ledger(()))
    refused: tuple[Refused, ...] = ()
    shifts: tuple[ShiftRow, ...] = ()
    of_checkpoints: frozenset[str] = frozenset()

    def title(self, dataset: str, contender: str) -> str:
        """Write a contender's title, with what makes it a control, and how many of its folds were refused."""
        title = method_title(contender)
        own = [each for each in self.refused if (each.dataset, each.contender) == (dataset, contender)]
        folds = {each.fold for each in own}
        method, _, system = parts_of(contender)
        if method in self.of_checkpoints and (control := self.ledger.control(system)):
            title = f"{title}; {control}"
        return f"{title}; {len(folds)} fold{'s' * (len(folds) > 1)} refused" if folds else title

    def refused_rows(self, dataset: str) -> dict[str, tuple[int, ...]]:
        """List contenders with refused cells on a target: contender -> numbers of shots."""
        return {each.contender: each.shots for each in self.refused if each.dataset == dataset}
