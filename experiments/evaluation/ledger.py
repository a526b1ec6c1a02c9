"""The ledger: whom each encoder has seen, and which cells are refused for it.

A checkpoint says itself whom it saw: the people of its pretraining windows, the sets whose labels it learnt, and the
people on whom its settings were chosen. An encoder of others has a declared card, a YAML file. Cells that test people
whom the encoder saw, with labels or without, are refused, and so is a whole data set of which nobody knows the people
that were seen. People on whom settings were chosen are named, not refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.bounds import read_yaml
from datamodules.labels.label_column import distinct
from datamodules.labels.natural_order import natural_key
from experiments.evaluation.errors import EvaluationError
from experiments.evaluation.methods import Method
from experiments.evaluation.splits import NOT_COMPARABLE, Fold, names_against_pseudonyms
from experiments.evaluation.targets import System, Target
from experiments.settings.evaluation import EvaluationConfig, ExternalConfig
from experiments.settings.layers import YAML_ERRORS
from experiments.settings.privacy import person_if_known
from experiments.settings.schema import Config

ALL = "all"  # in a card: all people of a data set, or nobody knows which
# Source -> its people; None for all of them, or nobody knows which.
People = Mapping[str, frozenset[str] | None]


@dataclass(frozen=True)
class Seen:
    """What one encoder has seen.

    Attributes:
        encoder: name of the system or external encoder; empty for the run's own checkpoint.
        kind: "checkpoint", "external", "sources" (trained on labels of the target's sources), or "settings" (those of
            the evaluation, which all methods share).
        windows: people of the windows that it was trained on.
        labels: what labels it learnt from, for readers; empty for none.
        development: people on whom its settings were chosen; None if this was not recorded.
        known: False if nobody says whom it saw.
        control: what makes it a control, e.g. shuffled video; empty for none.
        digest: of the file of its weights; checkpoints of several seeds share a name.
    """

    encoder: str
    kind: str
    windows: People
    labels: str = ""
    development: People | None = None
    known: bool = True
    control: str = ""
    digest: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells encoders apart."""
        return self.kind, self.encoder, self.digest


@dataclass(frozen=True)
class Entry:
    """One encoder at one fold of one target.

    Attributes:
        dataset: name of the target.
        fold: number of the fold.
        seen: what the encoder has seen.
        tested_seen: tested people whom it saw, sorted.
        others_seen: people of the tested people's data sets whom it saw, but who are not tested in this fold, sorted.
        chosen_on: tested people on whom its settings were chosen, sorted.
        why: why cells are refused; empty if they are not.
    """

    dataset: str
    fold: int
    seen: Seen
    tested_seen: tuple[str, ...]
    others_seen: tuple[str, ...]
    chosen_on: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Refused:
    """Cells of one contender on one fold that are not computed.

    Attributes:
        dataset: name of the target.
        contender: row of the tables.
        fold: number of the fold.
        shots: labelled windows per class that it would have had; 0 for methods without labels.
        why: the reason.
    """

    dataset: str
    contender: str
    fold: int
    shots: tuple[int, ...]
    why: str


@dataclass(frozen=True)
class Ledger:
    """All entries of an evaluation.

    Attributes:
        entries: in the order of targets, encoders and folds.
        allowed: ``evaluation.allow_seen_subjects``: nothing is refused.
    """

    entries: tuple[Entry, ...]
    allowed: bool = False

    @classmethod
    def of(
        cls, config: Config, targets: Sequence[Target], systems: Sequence[System], externals: Mapping[str, str]
    ) -> Ledger:
        """List whom every encoder has seen of every target's folds.

        Args:
            config: ``evaluation`` and ``development`` are used.
            targets: the targets.
            systems: the checkpoints.
            externals: name of each external encoder that is compared -> digest of its weights.

        Raises:
            EvaluationError: a card can't be read.
            SplitError: a target can't be split.
        """
        common = [Seen("", "settings", {}, development=_grouped(_flat(config.development)))]
        common += [seen_by(system) for system in systems if system.model is not None]
        common += [
            under_pseudonyms(config, seen_by_external(name, config.evaluation.external[name], digest))
            for name, digest in externals.items()
        ]
        found = []
        for target in targets:
            folds = target.folds(config.evaluation)
            of_sources = [_seen_by_sources(target)] if target.sources is not None else []
            found += [entry(target, fold, seen) for seen in [*common, *of_sources] for fold in folds]
        return cls(tuple(found), config.evaluation.allow_seen_subjects)

    def why(self, dataset: str, fold: int, kind: str, encoder: str, digest: str) -> str:
        """Say why cells of this encoder are refused on this fold; empty if they are not."""
        if self.allowed:
            return ""
        wanted = (dataset, fold, kind, encoder, digest)
        return next((e.why for e in self.entries if (e.dataset, e.fold, *e.seen.key) == wanted), "")

    def refused(self, evaluation: EvaluationConfig, chosen: Sequence[Method]) -> tuple[Refused, ...]:
        """List the cells that are refused, contender by contender and fold by fold."""
        found = []
        for each in () if self.allowed else self.entries:
            for method in chosen if each.why else ():
                if (each.seen.kind == "checkpoint" and method.checkpoint) or (
                    each.seen.kind == "external" and method.external
                ):
                    name = f"{method.name}@{each.seen.encoder}" if each.seen.encoder else method.name
                    shots = (evaluation.shots_trained or evaluation.shots) if method.trained else evaluation.shots
                    shots = shots if method.needs_labels else [0]
                    found.append(Refused(each.dataset, name, each.fold, tuple(shots), each.why))
        return tuple(dict.fromkeys(found))

    @staticmethod
    def in_short(refused: Sequence[Refused]) -> list[str]:
        """Say what is refused, one line for each encoder and target: its methods, folds and why."""
        groups: dict[tuple[str, str], list[Refused]] = {}
        for each in refused:
            groups.setdefault((each.dataset, each.contender.partition("@")[2]), []).append(each)
        lines = []
        for (dataset, encoder), cells in groups.items():
            methods = list(dict.fromkeys(each.contender.partition("@")[0] for each in cells))
            folds = sorted({each.fold for each in cells})
            reasons = list(dict.fromkeys(each.why for each in cells))
            more = f" (for other folds see ledger.csv: {len(reasons)} reasons)" if len(reasons) > 1 else ""
            lines.append(
                f"refused: {dataset}, {encoder or 'own encoder'}, fold {', '.join(map(str, folds))}"
                f" ({', '.join(methods)}): {reasons[0]}{more}"
            )
        return lines

    def control(self, encoder: str) -> str:
        """Say what makes the checkpoints of this name a control; empty if they are none."""
        found = (e.seen.control for e in self.entries if (e.seen.kind, e.seen.encoder) == ("checkpoint", encoder))
        return next(filter(None, found), "")

    def of_target(self, dataset: str) -> list[Entry]:
        """Select the entries of one target."""
        return [each for each in self.entries if each.dataset == dataset]


def seen_by(system: System) -> Seen:
    """Read what a checkpoint says of itself."""
    assert system.model is not None
    s = system.model.settings
    labels = ", ".join(f"{name} ({len(activities)} activities)" for name, activities in s.labels.items() if activities)
    return Seen(
        system.name,
        "checkpoint",
        _grouped(s.pretraining_subjects or []),
        labels,
        None if s.development_subjects is None else _grouped(s.development_subjects),
        known=s.pretraining_subjects is not None,
        control=control_of(s.shuffled_video),
        digest=system.checkpoint,
    )


def control_of(shuffled_video: str) -> str:
    """Describe the control that a checkpoint is; empty if it is none."""
    within = {
        "none": "",
        "activity": "within each activity",
        "subject": "within each subject",
        "all": "over all windows",
    }
    where = within[shuffled_video]
    return f"control: video shuffled {where}" if where else ""


def seen_by_external(name: str, settings: ExternalConfig, digest: str) -> Seen:
    """Read the card of an encoder of others; without one, nobody says whom it saw.

    Raises:
        EvaluationError: the card can't be read, or lacks a part.
    """
    if not settings.card:
        return Seen(name, "external", {}, known=False, digest=digest)
    where = f"evaluation.external.{name}.card: '{settings.card}'"
    try:
        content = read_yaml(Path(settings.card))
    except (OSError, *YAML_ERRORS) as error:
        raise EvaluationError(f"{where} can't be read: {error}") from error
    windows, learnt = _of_card(content, "windows", where), _of_card(content, "labels", where)
    development = _of_card(content, "development", where) if "development" in content else None
    for source, people in learnt.items():  # whose labels were learnt was seen
        mine = windows.get(source, frozenset())
        windows[source] = None if people is None or mine is None else mine | people
    return Seen(name, "external", windows, ", ".join(sorted(learnt)), development, digest=digest)


def under_pseudonyms(config: Config, seen: Seen) -> Seen:
    """Translate the people of a card, where the data sets go by pseudonyms and the key is at hand."""

    def people(found: People) -> People:
        return {
            source: None if names is None else frozenset(person_if_known(config, name) for name in names)
            for source, names in found.items()
        }

    development = None if seen.development is None else people(seen.development)
    return replace(seen, windows=people(seen.windows), development=development)


def _of_card(content: Any, key: str, where: str) -> dict[str, frozenset[str] | None]:
    part = content.get(key) if isinstance(content, dict) else None
    if not isinstance(part, dict):
        raise EvaluationError(f"{where} has no '{key}'; expected {{SOURCE: [people], ...}}, {{}} for none")
    found: dict[str, frozenset[str] | None] = {}
    for source, people in part.items():
        if people != ALL and not isinstance(people, list):
            raise EvaluationError(f"{where}, {key}.{source} is {people!r}; expected a list of people, or '{ALL}'")
        found[str(source)] = None if people == ALL else frozenset(map(str, people))
    return found


def _seen_by_sources(target: Target) -> Seen:
    assert target.sources is not None
    names = ", ".join(part.name for part in target.sources.sets)
    return Seen(names, "sources", _grouped(target.sources.qualified_subjects), names)


def entry(target: Target, fold: Fold, seen: Seen) -> Entry:
    """Compare what an encoder has seen with the people of one fold."""
    tested = distinct(target.shards.table["person"][fold.test])
    sources = {name.partition("/")[0] for name in tested}
    both = [name for name in tested if _has(seen.windows, name)]
    others = [f"{source}/{p}" for source in sorted(sources) for p in seen.windows.get(source) or ()]
    others = sorted(set(others) - set(tested), key=natural_key)
    chosen = [name for name in tested if seen.development and _has(seen.development, name)]
    why = ""
    whole = sorted(source for source in sources if seen.windows.get(source, frozenset()) is None)
    named = [f"{source}/{person}" for source in sources for person in seen.windows.get(source) or ()]
    unclear = names_against_pseudonyms(tested, named)
    if not seen.known and seen.kind == "checkpoint":
        why = "the checkpoint does not say which subjects it was pretrained on"
    elif whole:
        why = f"it was trained on {', '.join(whole)}, and nobody knows on which people"
    elif unclear:
        why = f"of {', '.join(unclear)} {NOT_COMPARABLE}"
    elif both:
        why = f"it was trained on tested people: {', '.join(sorted(both, key=natural_key))}"
    return Entry(
        target.name,
        fold.number,
        seen,
        tuple(sorted(both, key=natural_key)),
        tuple(others),
        tuple(sorted(chosen, key=natural_key)),
        why,
    )


def _has(people: People, name: str) -> bool:
    source, _, person = name.partition("/")
    if source not in people:
        return False
    known = people[source]
    return known is None or person in known


def _grouped(names: Sequence[str]) -> dict[str, frozenset[str] | None]:
    """Group "source/subject" by source."""
    found: dict[str, set[str]] = {}
    for name in names:
        source, _, person = name.partition("/")
        found.setdefault(source, set()).add(person)
    return {source: frozenset(people) for source, people in found.items()}


def _flat(development: Mapping[str, Sequence[str]]) -> list[str]:
    return [f"{source}/{person}" for source, people in development.items() for person in people]
