"""Targets, which an evaluation tests on, and systems, which it compares on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from datamodules.features.cache import FeatureCache
from datamodules.labels.label_column import UNLABELLED, among, distinct
from datamodules.labels.natural_order import natural_key
from datamodules.shards.concat import ConcatShards
from experiments.evaluation.errors import EvaluationError
from experiments.evaluation.held_out_labels import OverTime
from experiments.evaluation.methods import Method
from experiments.evaluation.moments import Timeline
from experiments.evaluation.placements import OtherPlacement
from experiments.evaluation.prototypes.video import Prototypes
from experiments.evaluation.splits import (
    NOT_COMPARABLE,
    Fold,
    LeakError,
    make_folds,
    names_against_pseudonyms,
    non_overlapping,
    seen_subjects,
    union,
    where,
)
from experiments.evaluation.transfer.sources import Sources
from experiments.settings.evaluation import EvaluationConfig, TargetConfig
from lightning_modules.pretraining import ImuPretraining

OWN = ""  # name of the run's own system
_LOOKED_AT = 256  # windows; so many are searched for a gyroscope


@dataclass(frozen=True)
class System:
    """A checkpoint that is evaluated, or no checkpoint.

    Attributes:
        name: "" for the run's own checkpoint; checkpoints of several seeds share a name, and results are averaged.
        model: the checkpoint; None if no method needs one.
        checkpoint: digest of the checkpoint's file.
        prototypes: "source" or "text" -> prototypes of the zero-shot methods. Prototypes of the target's own videos
            depend on the fold, and are made from ``clips``.
        clips: data set -> video features by the system's own video encoder, for the target's prototypes.
        members: systems whose probabilities are averaged; empty for a single checkpoint.
        incomplete: how far its training came, e.g. ``step 7 of 1,400``; empty if to its end.
    """

    name: str = ""
    model: ImuPretraining | None = None
    checkpoint: str = ""
    prototypes: Mapping[str, Prototypes] = field(default_factory=dict)
    clips: Mapping[str, FeatureCache] = field(default_factory=dict)
    members: tuple[System, ...] = ()
    incomplete: str = ""


@dataclass(frozen=True)
class Target:
    """The data that an evaluation tests on.

    Attributes:
        settings: name, sides, activities and event.
        shards: shards of the tested data set first, then of data sets that only give labels.
        other_placements: name of another placement -> the tested data set's windows there.
        sources: labelled data sets of other laboratories; None if the settings name none.
    """

    settings: TargetConfig
    shards: ConcatShards
    other_placements: Mapping[str, OtherPlacement] = field(default_factory=dict)
    sources: Sources | None = None

    @property
    def name(self) -> str:
        """Name of the target in tables."""
        return self.settings.name or self.settings.dataset

    @cached_property
    def timeline(self) -> Timeline:
        """When what was done, by the labels."""
        return Timeline(self.shards)

    def over_time(self, windows: NDArray[np.int64], smoothed: bool = False) -> OverTime | None:
        """Give tested windows in time; None where no activity changes and there is no event to be found in time.

        Args:
            windows: tested windows.
            smoothed: probabilities are smoothed over time already, and will not be for episodes again.
        """
        if not self.timeline.changes:
            return None
        return OverTime(self.timeline.of(windows), self.settings.event, self.settings.smoothed and not smoothed)

    def folds(self, evaluation: EvaluationConfig) -> list[Fold]:
        """Make groups of subjects to test, with the windows that labels may be drawn from.

        Raises:
            SplitError: the target can't be split as asked.
            EvaluationError: the event is not among the target's activities.
        """
        s, table = self.settings, self.shards.table
        activities = self._activities(evaluation)
        tested, supporting = self.sides(evaluation)
        folds = make_folds(table, evaluation.folds, activities, tested, supporting, evaluation.all_groupings)
        if s.event and not any(s.event in fold.classes for fold in folds):
            there = ", ".join(folds[0].classes)
            raise EvaluationError(f"target '{self.name}': event '{s.event}' is none of its activities: {there}")
        return folds

    def sides(self, evaluation: EvaluationConfig) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Mark the windows that may be tested, and those that labels may come from, (N,) each; none overlap.

        Raises:
            SplitError: no window meets a condition of the target.
        """
        s, table = self.settings, self.shards.table
        activities = self._activities(evaluation)
        tested = where(table, s.test_where) & (table["dataset"] == s.dataset)
        supporting = where(table, s.support_where)
        if s.support:
            supporting &= among(table["dataset"], s.support)
        # Unused windows are removed first, so that no used window is dropped for overlapping one of them.
        used = (tested | supporting) & (table["activity"] != UNLABELLED)
        if activities:
            used &= among(table["activity"], activities)
        apart = np.zeros(self.shards.n_windows, bool)
        for key in distinct(table["dataset"]):
            own = np.flatnonzero(used & (table["dataset"] == key))
            columns = {name: table[name][own] for name in ("recording", "placement", "start_s")}
            apart[own] = non_overlapping(columns, self.shards.settings.duration_s)
        return tested & apart, supporting & apart

    def _activities(self, evaluation: EvaluationConfig) -> list[str]:
        """List the activities that are used; an empty list stands for all."""
        asked = self.settings.activities or evaluation.activities
        if not self.answered_by_sources:
            return asked
        assert self.sources is not None
        shared = [name for name in self.sources.examples.activities if name in distinct(self.shards.table["activity"])]
        if len(chosen := [name for name in shared if not asked or name in asked]) < 2:
            raise EvaluationError(
                f"target '{self.name}': 'labels: shared' leaves {len(chosen)} activities"
                f" ({', '.join(chosen) or 'none'}); expected at least 2 that both the target and a source have"
            )
        return chosen

    @property
    def answered_by_sources(self) -> bool:
        """True if every activity is one that a source has too, under a common name."""
        return self.settings.labels == "shared" and self.sources is not None

    def allows(self, method: Method) -> bool:
        """Say if the target has the sources that a method needs: none, some, or some with the target's activities."""
        if method.no_target_label:
            return self.answered_by_sources
        return not method.sources or self.sources is not None

    def remarks(self, folds: Sequence[Fold]) -> list[str]:
        """List remarks for readers: damaged windows, renamed activities, and a gyroscope that one side lacks."""
        found = []
        for name, shards in self.shards.parts:
            if shards.damaged is not None:
                found.append(
                    f"damaged windows of '{name}' were left out: {np.count_nonzero(shards.damaged)} of"
                    f" {shards.n_windows} (run.on_damage=skip)"
                )
        if self.shards.common:
            found += [f"activities by their common names: {line}" for line in self.shards.renamed.lines()]
        if self.answered_by_sources and self.sources is not None:
            used = sorted({name for fold in folds for name in fold.classes}, key=natural_key)
            found.append(f"only activities that a source has too: {', '.join(used)}")
            found += [
                f"activities of the sources by their common names: {line}" for line in self.sources.examples.lines
            ]
        pool, test = union([fold.pool for fold in folds]), union([fold.test for fold in folds])
        if not self.shards.gyroscope:
            found.append("gyroscope: taken from all windows, 'gyroscope: false'")
        elif (given := self._gyroscope(pool)) != (tested := self._gyroscope(test)):
            sampled = max(len(pool), len(test)) > _LOOKED_AT
            found.append(
                f"gyroscope: {given} of the windows that labels come from have one, {tested} of the tested ones"
                f"{f' (up to {_LOOKED_AT} of either were looked at)' if sampled else ''};"
                " 'gyroscope: false' at the target takes it from all"
            )
        return found

    def _gyroscope(self, windows: NDArray[np.int64]) -> str:
        """Say if "all", "some" or "none" of these windows have a gyroscope; a sample of a few hundred is read."""
        looked_at = windows[:: -(-len(windows) // _LOOKED_AT)]
        there = self.shards.imu(looked_at)[2][:, 3:].any(axis=1)
        return "all" if there.all() else "some" if there.any() else "none"

    def qualified_subjects(self, windows: NDArray[np.int64]) -> list[str]:
        """List the subjects of these windows, as "source/subject", sorted."""
        return distinct(self.shards.table["person"][windows])


def seen_in_pretraining(target: Target, folds: list[Fold], system: System, allowed: bool) -> list[str]:
    """Note tested subjects who were in pretraining, if that is allowed; nothing if there are none.

    Raises:
        LeakError: tested subjects were in pretraining, or this is not known, and it is not allowed.
    """
    if system.model is None:
        return []
    pretraining = system.model.settings.pretraining_subjects
    if pretraining is None:
        found = "the checkpoint does not say which subjects it was pretrained on"
    else:
        tested = target.qualified_subjects(np.concatenate([fold.test for fold in folds]))
        seen, unclear = seen_subjects(tested, pretraining), names_against_pseudonyms(tested, pretraining)
        if not seen and not unclear:
            return []
        found = f"tested subjects who were in pretraining too: {', '.join(seen)}"
        if unclear:
            found = f"of {', '.join(unclear)} {NOT_COMPARABLE}"
    if not allowed:
        raise LeakError(
            f"target '{target.name}': {found}; leave them out of its 'subjects', or set"
            " evaluation.allow_seen_subjects=true, and every table will say so"
        )
    return [found]


def refuse_tested_sources(target: Target, folds: Sequence[Fold]) -> None:
    """Refuse a tested subject among the subjects of the target's sources.

    Raises:
        LeakError: there is one; the message names some.
    """
    if target.sources is None:
        return
    tested = target.qualified_subjects(union([fold.test for fold in folds]))
    if both := sorted(set(tested) & set(target.sources.qualified_subjects)):
        raise LeakError(
            f"target '{target.name}': its 'sources' hold tested subjects: {', '.join(both[:5])}"
            f"{f' and {len(both) - 5} more' if len(both) > 5 else ''}; name data sets of other people"
        )


def label_note(system: System) -> list[str]:
    """Note whose labels the checkpoint learnt from in pretraining, if any: such a row is not one without labels."""
    labels = system.model.settings.labels if system.model is not None else {}
    used = ", ".join(f"{name} ({len(activities)} activities)" for name, activities in labels.items() if activities)
    return [f"labels were used in pretraining, of {used}"] if used else []


def held_out_note(system: System, classes: list[str]) -> list[str]:
    """Note the activities that were held out of pretraining, if there are any."""
    if system.model is None or not system.model.settings.excluded_activities:
        return []
    held_out = [name for name in classes if name in system.model.settings.excluded_activities]
    shown = [name for name in classes if name not in held_out]
    note = f"held out of pretraining: {', '.join(held_out) or 'none of these activities'}"
    return [note + (f"; not held out: {', '.join(shown)}" if held_out and shown else "")]
