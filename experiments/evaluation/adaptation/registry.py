"""Registry of adaptations.

An adaptation turns a method into one that knows windows of the tested person, unlabelled ones or some with labels.
Settings name both, joined by a plus: ``hybrid_logistic+person``. Several adaptations follow one another:
``hybrid_logistic+person+balanced``. They are found by name::

    @adaptation("person", on_tables=True)
    def person(fit: Fit, data: CellData) -> Predict: ...

An adaptation gets the fit of the method, and the data of a cell. It returns a function that predicts windows, as a
method does. It never gets the labels of tested windows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from core.registry import Registry, UnknownNameError
from experiments.evaluation.cells import KNOWS_LABELS, KNOWS_NOTHING, KNOWS_SHARES, KNOWS_UNLABELLED
from experiments.evaluation.errors import EvaluationError
from experiments.evaluation.methods import CellData, Fit, Method, Predict, find_method
from experiments.evaluation.unlabelled import ALL

Adapt = Callable[[Fit, CellData], Predict]
PLUS = "+"
_KNOWLEDGE = (KNOWS_NOTHING, KNOWS_UNLABELLED, KNOWS_SHARES, KNOWS_LABELS)  # the last of several counts


@dataclass(frozen=True)
class Adaptation:
    """A registered adaptation.

    Attributes:
        name: name in settings and tables, after the plus.
        adapt: function from a method's fit and a cell's data to a function that predicts windows.
        on_tables: it changes tables of features. Otherwise it changes the probabilities of a person's tested windows,
            or the labelled windows that the method is fitted on.
        on_labels: it changes the labelled windows that the method is fitted on. It goes with no other adaptation.
        first: it comes before all other adaptations.
        smooths: probabilities are smoothed over time, so that episodes are read off them as they are.
        needs_labels: it looks at the labelled windows that the method is fitted on.
        settings: settings that it depends on.
        person_windows: which unlabelled windows of tested subjects it gets, "all", "other" or, as "", none.
        knowledge: what it knows of a tested subject: "unlabelled" windows, their "shares" of activities too, or
            "labels" of earlier windows.
    """

    name: str
    adapt: Adapt
    on_tables: bool = False
    on_labels: bool = False
    first: bool = False
    smooths: bool = False
    needs_labels: bool = False
    settings: tuple[str, ...] = ()
    person_windows: str = ALL
    knowledge: str = KNOWS_UNLABELLED


ADAPTATIONS: Registry[Adaptation] = Registry("adaptation", "experiments.evaluation.adaptation")


def adaptation(
    name: str,
    *,
    on_tables: bool = False,
    on_labels: bool = False,
    first: bool = False,
    smooths: bool = False,
    needs_labels: bool = False,
    settings: tuple[str, ...] = (),
    person_windows: str = ALL,
    knowledge: str = KNOWS_UNLABELLED,
) -> Callable[[Adapt], Adapt]:
    """Register a function as an adaptation; see :class:`Adaptation` for the arguments.

    Raises:
        ValueError: another function has that name already.
    """

    def decorate(adapt: Adapt) -> Adapt:
        made = Adaptation(
            name,
            adapt,
            on_tables,
            on_labels,
            first,
            smooths,
            needs_labels,
            settings,
            person_windows,
            knowledge,
        )
        ADAPTATIONS.add(name, made, adapt)
        return adapt

    return decorate


def adaptations() -> dict[str, Adaptation]:
    """List all adaptations by name."""
    return ADAPTATIONS.entries()


def find_contender(name: str) -> Method:
    """Find a method, or a method with its adaptations, by its name in settings.

    Raises:
        EvaluationError: there is no such method or adaptation, or the two do not go together.
    """
    base, *names = name.split(PLUS)
    found = find_method(base)
    for one in names:
        try:
            found = _adapted(found, ADAPTATIONS.entry(one))
        except UnknownNameError as error:
            raise EvaluationError(f"evaluation.methods, '{name}': {error}") from error
    if len(set(names)) < len(names):
        raise EvaluationError(f"evaluation.methods, '{name}': an adaptation is named twice")
    return found


def _adapted(method: Method, adaptation: Adaptation) -> Method:
    name = f"{method.name}{PLUS}{adaptation.name}"
    if adaptation.on_labels and not method.needs_labels:
        raise EvaluationError(
            f"evaluation.methods, '{name}': {method.name} is fitted on no labelled window, and '{adaptation.name}' adds"
            " some"
        )
    if adaptation.needs_labels and not method.needs_labels:
        raise EvaluationError(
            f"evaluation.methods, '{name}': {method.name} is fitted on no labelled window, and '{adaptation.name}'"
            " looks at them"
        )
    if KNOWS_LABELS in (method.knowledge, adaptation.knowledge) and PLUS in method.name:
        raise EvaluationError(
            f"evaluation.methods, '{name}': labels of the person are a knowledge of their own, which is not mixed with"
            f" others; expected {method.name.partition(PLUS)[0]} with one adaptation"
        )
    if adaptation.on_tables:
        if method.trained or not method.needs_labels:
            raise EvaluationError(
                f"evaluation.methods, '{name}': {method.name} fits on no table of features, which is what"
                f" '{adaptation.name}' changes"
            )
        if method.together:
            raise EvaluationError(
                f"evaluation.methods, '{name}': '{adaptation.name}' changes tables of features, and comes before"
                f" adaptations of probabilities: expected {_in_front(method.name, adaptation.name)}"
            )
        if method.person_windows:
            told = (
                "expected one adaptation to the person, found two"
                if adaptation.person_windows
                else f"'{adaptation.name}' comes before adaptations to the person: expected"
                f" {_in_front(method.name, adaptation.name)}"
            )
            raise EvaluationError(f"evaluation.methods, '{name}': {told}")
    if adaptation.first and PLUS in method.name:
        raise EvaluationError(
            f"evaluation.methods, '{name}': '{adaptation.name}' comes before all other adaptations: expected"
            f" {_in_front(method.name, adaptation.name)}"
        )
    if method.person_windows and adaptation.person_windows not in ("", method.person_windows):
        raise EvaluationError(
            f"evaluation.methods, '{name}': '{adaptation.name}' gets other windows of a person than the adaptations"
            " before it; expected all with '_other' at the end of their names, or none"
        )
    return replace(
        method,
        name=name,
        fit=partial(adaptation.adapt, method.fit),
        settings=tuple(dict.fromkeys([*method.settings, *adaptation.settings])),
        knowledge=max(method.knowledge, adaptation.knowledge, key=_KNOWLEDGE.index),
        person_windows=method.person_windows or adaptation.person_windows,
        together=method.together or not (adaptation.on_tables or adaptation.on_labels),
        smooths=method.smooths or adaptation.smooths,
    )


def _in_front(method: str, adaptation: str) -> str:
    base, *others = method.split(PLUS)
    return PLUS.join([base, adaptation, *others])
