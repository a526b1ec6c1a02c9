"""Roles of methods: no adaptation is forgotten."""

from __future__ import annotations

from experiments.evaluation.adaptation import adaptations
from experiments.evaluation.unlabelled import OTHER
from experiments.reports.evaluation.roles import CONTROLS
from experiments.reports.evaluation.titles import ADAPTED


def test_every_adaptation_has_a_title_and_those_to_other_activities_are_controls() -> None:
    found = adaptations()
    assert set(found) <= set(ADAPTED)
    assert {name for name, one in found.items() if one.person_windows == OTHER} == set(CONTROLS) - {"personal_none"}
