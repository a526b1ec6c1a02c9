"""Content of a report, looked up by target, contender and number of shots."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from experiments.evaluation.cells import KNOWS_NOTHING, CellResult
from experiments.evaluation.features.embedding_map import EmbeddingMap
from experiments.reports.evaluation.comparisons import (
    Comparison,
    Pair,
    Planned,
    all_pairs,
    compare_systems,
    planned_comparisons,
)
from experiments.reports.evaluation.evidence import Evidence
from experiments.reports.evaluation.titles import KNOWLEDGE, in_order, method_title
from experiments.statistics.differences import Correction
from experiments.statistics.groups import Groups, Key, group_cells
from experiments.statistics.intervals import FEWEST, interval_method
from experiments.statistics.results import Estimate, estimate

AUDIT = "AUDIT: "  # a warning that starts so is a finding of the audit
SIMULATED_DATA = "SIMULATED DATA: these windows come from the simulator, not from people."


@dataclass(frozen=True)
class Report:
    """The content of all tables and figures.

    Attributes:
        title: experiment and run.
        results: results of all cells.
        resamples: number of resamples of the bootstrap.
        checkpoint: path and digest of the checkpoint, for the header; empty without one.
        simulated_targets: names of the targets whose windows come from the simulator.
        pretraining_simulated: True if the checkpoint was trained on simulated recordings.
        incomplete: a line for each checkpoint of a training that was stopped: system and how far it came.
        seen_allowed: True if subjects of pretraining were allowed in tests; the cells' notes name them.
        remarks: remarks on the whole evaluation, e.g. a method that was left out.
        maps: target -> map of its windows in the feature space.
        audit: target -> doubtful facts about its data, in plain sentences.
        correction: correction of the p-values of the planned comparisons, and of those between systems.
        evidence: who saw whom, what was refused, how large the shifts are.
    """

    title: str
    results: list[CellResult]
    resamples: int
    checkpoint: str = ""
    simulated_targets: frozenset[str] = frozenset()
    pretraining_simulated: bool = False
    incomplete: tuple[str, ...] = ()
    seen_allowed: bool = False
    remarks: list[str] = field(default_factory=list)
    maps: dict[str, EmbeddingMap] = field(default_factory=dict)
    audit: dict[str, list[str]] = field(default_factory=dict)
    correction: Correction = "holm"
    evidence: Evidence = field(default_factory=Evidence)

    @cached_property
    def groups(self) -> Groups:
        """Cells of each target, in groups that a table sums up."""
        return group_cells(self.results)

    @cached_property
    def planned(self) -> list[Planned]:
        """Planned comparisons of pretrained contenders with the best baseline, on all targets, as one family."""
        return planned_comparisons(self.groups, self.simulated_targets, self.resamples, self.correction)

    @cached_property
    def between_systems(self) -> list[Comparison]:
        """Comparisons of the first system with each other one, as a family of their own; empty for one system."""
        return compare_systems(self.groups, self.simulated_targets, self.resamples, self.correction)

    @cached_property
    def pairs(self) -> list[Pair]:
        """Differences of the recommended contenders to all others, neither corrected nor judged."""
        return all_pairs(self.groups, self.resamples)

    @cached_property
    def _estimates(self) -> dict[tuple[str, str, Key], Estimate | None]:
        return {}

    def datasets(self) -> list[str]:
        """List the names of the targets, in order."""
        return list(self.groups)

    def contenders(self, dataset: str) -> list[str]:
        """List the contenders of a target, in the order of the tables."""
        return in_order({key.contender for key in self.groups[dataset]})

    def knowledge(self, dataset: str) -> dict[str, str]:
        """Say what each contender knows of a tested person besides the window; empty if none knows anything."""
        kinds = {r.cell.contender: r.cell.knowledge for r in self.of(dataset)}
        if set(kinds.values()) <= {KNOWS_NOTHING}:
            return {}
        return {name: KNOWLEDGE.get(kind, kind) for name, kind in kinds.items()}

    def of(
        self, dataset: str, contender: str | None = None, shots: int | None = None, unit: str | None = None
    ) -> list[CellResult]:
        """Select cells of a target without perturbation, by contender, number of shots and unit, if given."""
        return [
            result
            for key, cells in self.groups[dataset].items()
            if key.perturbation == ""
            and (contender is None or key.contender == contender)
            and (shots is None or key.shots == shots)
            and (unit is None or key.unit == unit)
            for result in cells
        ]

    def shots(self, dataset: str, unit: str = "windows", contender: str | None = None) -> list[int]:
        """List the evaluated numbers of shots, ascending; 0 stands for methods without labels."""
        keys = self.groups[dataset]
        return sorted({k.shots for k in keys if _fits(k, unit) and contender in (None, k.contender)})

    def units(self, dataset: str) -> list[str]:
        """List the units of shots: always "windows", and "subjects" if whole subjects were labelled."""
        by_subject = any(key.unit == "subjects" for key in self.groups[dataset])
        return ["windows", "subjects"] if by_subject else ["windows"]

    def estimate(self, dataset: str, metric: str, key: Key) -> Estimate | None:
        """Sum up the cells of a group; None if no subject has the metric."""
        known = self._estimates
        at = (dataset, metric, key)
        if at not in known:
            cells = self.groups[dataset].get(key, [])
            told = any(metric in values for cell in cells for values in cell.by_subject.values())
            known[at] = estimate(cells, metric, self.resamples) if told else None
        return known[at]

    def estimates(self, dataset: str, metric: str, unit: str = "windows") -> dict[str, dict[int, Estimate]]:
        """Compute contender -> shots -> estimate, in the order of the tables, for contenders that have the metric.

        Methods without labels have 0 shots, and belong to either unit.
        """
        table: dict[str, dict[int, Estimate]] = {name: {} for name in self.contenders(dataset)}
        for key in sorted(self.groups[dataset]):
            if key.perturbation == "" and _fits(key, unit):
                found = self.estimate(dataset, metric, key)
                if found is not None:
                    table[key.contender][key.shots] = found
        return {contender: by_shots for contender, by_shots in table.items() if by_shots}

    def flags(self, dataset: str) -> str:
        """Write the flags that tables and figures show in brackets; empty without flags."""
        flags = []
        if dataset in self.simulated_targets:
            flags.append("simulated")
        elif self.pretraining_simulated:
            flags.append("pretraining simulated")
        if self.incomplete:
            flags.append("training incomplete")
        if self.seen_allowed:
            flags.append("seen subjects allowed")
        if self.audit.get(dataset):
            flags.append("see the audit")
        return f" ({', '.join(flags)})" if flags else ""

    def warnings(self, dataset: str) -> list[str]:
        """List the warnings that come before a target's first number."""
        lines = []
        if dataset in self.simulated_targets:
            lines.append(SIMULATED_DATA)
        elif self.pretraining_simulated:
            lines.append("The encoder was pretrained on SIMULATED DATA.")
        if self.incomplete:
            lines.append(f"INCOMPLETE TRAINING (evaluation.allow_incomplete is on): {'; '.join(self.incomplete)}.")
        if self.seen_allowed:
            lines.append("evaluation.allow_seen_subjects is on: NOT OUT OF DISTRIBUTION where the notes name subjects.")
        return lines + [f"{AUDIT}{finding}" for finding in self.audit.get(dataset, [])]

    def all_warnings(self) -> list[str]:
        """List each warning once, after the targets that it is about; a warning about all of several targets alone."""
        about: dict[str, list[str]] = {}
        for dataset in self.datasets():
            for warning in self.warnings(dataset):
                about.setdefault(warning, []).append(dataset)
        everywhere = len(self.datasets())
        return [w if len(there) == everywhere > 1 else f"{', '.join(there)}: {w}" for w, there in about.items()]

    def subjects(self, dataset: str) -> int:
        """Count the tested subjects."""
        return len({subject for r in self.of(dataset) for subject in r.by_subject})

    def folds(self, dataset: str) -> int:
        """Count the tested groups of subjects; each group has its own draws."""
        return len({r.cell.fold for r in self.of(dataset)})

    def caption(self, dataset: str) -> str:
        """Describe the population, subjects, windows, activities and folds of a target."""
        results = self.of(dataset)
        windows: dict[str, int] = {}
        for result in results:  # a method that lacks some activities is tested on fewer windows
            for subject, n in result.windows_by_subject.items():
                windows[subject] = max(n, windows.get(subject, 0))
        classes = {name for r in results for name in r.classes}
        # Folds may test different populations.
        populations = sorted({name for r in results for name in r.cell.population.split("+")})
        folds = self.folds(dataset)
        return (
            f"population {'+'.join(populations)}; {len(windows)} test subjects,"
            f" {sum(windows.values())} test windows, {len(classes)} activities, {folds} fold{'s' * (folds != 1)}"
        )

    def reading(self, dataset: str) -> str:
        """Explain how to read the numbers: the averages, and the intervals in brackets."""
        n = self.subjects(dataset)
        over = "draws"
        if len({(r.cell.checkpoint, r.cell.seed) for r in self.of(dataset) if r.cell.checkpoint}) > 1:
            over += " and over checkpoints of the same name"
        mean = f"Numbers are in %: each subject's mean over {over}, averaged over {n} subjects"
        if n < FEWEST:
            too_few = f"{n} subject{' is' if n == 1 else 's are'} too few for intervals"
            return f"{mean}; {too_few}.{self._one_activity(dataset)}"
        few = " With so few subjects the interval is wide." if n < 10 else ""
        how = interval_method(n)
        by = f"{how}, {self.resamples} resamples of {n} subjects" if "bootstrap" in how else f"{how}, {n} subjects"
        return f"{mean}. Brackets hold the 95 % interval over subjects ({by}).{few}{self._one_activity(dataset)}"

    def _one_activity(self, dataset: str) -> str:
        """Explain balanced accuracy for subjects who did a single activity."""
        shown = self._shown(dataset)
        alone = sorted(subject for subject, activities in shown.items() if len(activities) == 1)
        if not alone:
            return ""
        everything = self.tested(dataset)
        if len(everything) == 1:
            (only,) = (name.replace("_", " ") for name in everything)
            return (
                f" The only tested activity is {only}: balanced accuracy is the recognised share of its windows,"
                f" and 100 for a method that always answers {only}."
            )
        return (
            f" {', '.join(alone)} did a single activity each: there, balanced accuracy is the activity's recall,"
            " and 100 for a method that always answers it."
        )

    def tested(self, dataset: str) -> set[str]:
        """Collect the activities of the tested subjects."""
        return set().union(*self._shown(dataset).values())

    def _shown(self, dataset: str) -> dict[str, set[str]]:
        """Collect subject -> activities that the subject did."""
        shown: dict[str, set[str]] = {}
        for result in self.of(dataset):
            for subject, counts in result.confusion_by_subject.items():
                there = {name for name, row in zip(result.classes, counts, strict=True) if any(row)}
                shown[subject] = shown.get(subject, set()) | there
        return shown

    def notes(self, dataset: str) -> list[str]:
        """List remarks on a target's cells, each once; a remark about a single contender names it."""
        results = self.of(dataset)
        contenders = self.contenders(dataset)
        draws: dict[str, set[int]] = {}
        about: dict[str, set[str]] = {}
        for result in results:
            draws.setdefault(result.cell.contender, set()).add(result.cell.draw)
            for note in result.notes:
                about.setdefault(note, set()).add(result.cell.contender)
        counts = [f"{method_title(name)}: {len(draws[name])}" for name in contenders if name in draws]
        notes = [f"draws per fold -- {'; '.join(counts)}"]
        if known := self.knowledge(dataset):
            knowing = [method_title(name) for name in contenders if known[name] != KNOWLEDGE[KNOWS_NOTHING]]
            notes.append(f"these know something of the tested person -- {'; '.join(knowing)}")
        if "majority" in contenders:
            notes.append("majority: the most frequent activity among the windows of the support subjects")
        for note, concerned in about.items():
            title = method_title(next(iter(concerned)))
            unsaid = len(concerned) == 1 < len(contenders) and not title.startswith(note.partition(":")[0])
            notes.append(f"{title}: {note}" if unsaid else note)
        return notes


def _fits(key: Key, unit: str) -> bool:
    return key.unit == unit or key.shots == 0


def first_of(contenders: Iterable[str], methods: Iterable[str]) -> list[str]:
    """Select the run's own contenders among these methods, in the order of the methods."""
    there = set(contenders)
    return [method for method in methods if method in there]
