"""Split files: who develops, pretrains, gives labels and is tested, as plain YAML that others can use.

The content is read off the folds that an evaluation uses, never declared again. Every evaluation writes it beside its
results; ``docs/splits`` holds that of the real data sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from core.digest import digest_of
from datamodules.labels.label_column import distinct
from datamodules.labels.natural_order import natural_key
from experiments.evaluation.splits import Fold, Table, union
from experiments.evaluation.targets import Target
from experiments.settings.schema import Config

HOW = (
    "People of the target in natural order of their names, cut into contiguous groups as even as possible; each group"
    " is tested with labels of all others. With all_groupings: people cut into groups in every way. With folds 0: one"
    " person at a time up to 25 people, ten groups of more. Nobody on both sides: one fold."
)


def split_of(config: Config, target: Target, folds: Sequence[Fold], overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Describe a target's split in plain values.

    Args:
        config: ``evaluation``, ``development`` and the sets of pretraining are used.
        target: the target.
        folds: its folds, as the evaluation uses them.
        overrides: settings that the command line changed, as "key=value".
    """
    table, e, s = target.shards.table, config.evaluation, target.settings
    people = {
        "test": _people(table, union([fold.test for fold in folds])),
        "support": _people(table, union([fold.pool for fold in folds])),
    }
    content: dict[str, Any] = {
        "experiment": config.experiment,
        "overrides": list(overrides),
        "target": target.name,
        "data_set": sorted(distinct(table["source"][union([fold.test for fold in folds])])),
        "how": HOW,
        "settings": {
            "folds": e.folds,
            "all_groupings": e.all_groupings,
            "test_where": dict(s.test_where),
            "support_where": dict(s.support_where),
            "support": list(s.support),
        },
        "development": {source: list(names) for source, names in sorted(config.development.items())},
        "pretraining": pretraining_people(config),
        "people": people,
        "activities": sorted({name for fold in folds for name in fold.classes}, key=natural_key),
        "folds": [
            {
                "fold": fold.number,
                "test": _people(table, fold.test),
                "support": _people(table, fold.pool),
            }
            for fold in folds
        ],
    }
    return {**content, "digest": digest_of(content)[:16]}


def pretraining_people(config: Config) -> dict[str, list[str] | str]:
    """List the people of each set that the experiment pretrains on, by its source; "all" where none are named."""
    found: dict[str, list[str] | str] = {}
    for key in config.pretraining.names():
        if key in config.datasets:
            data = config.datasets[key]
            found[data.source.name] = list(data.subjects) or "all"
    return found


def _people(table: Table, windows: Any) -> list[str]:
    return sorted(distinct(table["subject"][windows]), key=natural_key)


def split_text(split: dict[str, Any]) -> str:
    """Write a split as YAML."""
    return yaml.dump(split, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


class _Dumper(yaml.SafeDumper):
    """Lists of names stand in one line."""


def _in_a_line(dumper: yaml.SafeDumper, values: list[Any]) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, all(isinstance(v, str) for v in values))


_Dumper.add_representer(list, _in_a_line)
