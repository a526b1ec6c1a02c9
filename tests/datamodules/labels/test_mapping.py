from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodules.labels.common_names import COMMON, COMMON_LABELS
from datamodules.labels.mapping import CommonActivitiesError, rename
from datamodules.sources import (
    daphnet,
    fog_star,
    hapt,
    harth,
    motionsense,
    pamap2,
    realworld,
    sisfall,
    sp_sw_har,
    usc_had,
    utd_mhad,
    weda_fall,
)
from datamodules.sources.registry import sources
from datamodules.sources.simulator import session

OWN = {
    "daphnet": daphnet.ACTIVITIES.values(),
    "weda_fall": [*weda_fall.ACTIVITIES.values(), weda_fall.FALL],
    "sp_sw_har": list(sp_sw_har.ACTIVITIES.values()),
    "fog_star": [*fog_star.ACTIVITIES.values(), fog_star.FREEZING],
    "hapt": hapt.ACTIVITIES.values(),
    "harth": harth.ACTIVITIES.values(),
    "motionsense": motionsense.ACTIVITIES.values(),
    "pamap2": pamap2.ACTIVITIES.values(),
    "realworld": realworld.ACTIVITIES.values(),
    "simulator": session.ACTIVITIES,
    "sisfall": [*sisfall.ACTIVITIES.values(), sisfall.FALL],
    "usc_had": usc_had.ACTIVITIES.values(),
    "utd_mhad": utd_mhad.ACTIONS,
}
labels = st.one_of(
    st.just(""), st.sampled_from(sorted({label for of in COMMON_LABELS.values() for label in of})), st.text()
)


def test_every_source_has_its_lines() -> None:
    own = {name for name, entry in sources().items() if entry.params.__module__.startswith("datamodules.")}
    assert own <= COMMON_LABELS.keys()
    assert {name for of in COMMON_LABELS.values() for name in of.values()} == set(COMMON)


@pytest.mark.parametrize("source", OWN)
def test_lines_are_of_labels_that_the_source_gives(source: str) -> None:
    assert COMMON_LABELS[source].keys() <= set(OWN[source])


def test_labels_are_renamed_and_what_has_no_counterpart_is_counted() -> None:
    of = np.array(["sisfall", "sisfall", "daphnet", "sisfall", "daphnet", "sisfall"])
    own = np.array(["walking_slow", "jump", "no_freezing", "walking_quick", "", "jump"])
    renamed = rename(of, own)
    assert renamed.activities.tolist() == ["walking", "", "walking", "walking", "", ""]
    assert renamed.left_out == {("sisfall", "jump"): 2}
    assert str(renamed).splitlines() == [
        "  daphnet: no_freezing -> walking 1",
        "  sisfall: walking_quick -> walking 1, walking_slow -> walking 1; without a counterpart, left out: 2 windows"
        " (jump 2)",
    ]


def test_a_source_without_common_names_is_refused() -> None:
    with pytest.raises(
        CommonActivitiesError, match=r"source 'mine' have no common names; the sources with common names are simulator"
    ):
        rename(np.array(["mine"]), np.array(["walking"]))


@given(st.lists(st.tuples(st.sampled_from(sorted(COMMON_LABELS)), labels), max_size=30))
def test_every_window_is_kept_left_out_or_was_unlabelled(rows: Any) -> None:
    of, own = np.array([row[0] for row in rows], str), np.array([row[1] for row in rows], str)
    renamed = rename(of, own)
    assert renamed.kept.total() == (renamed.activities != "").sum()
    assert renamed.kept.total() + renamed.left_out.total() + (own == "").sum() == len(rows)
    for source, label, name in zip(of, own, renamed.activities, strict=True):
        assert name == COMMON_LABELS[source].get(label, "")
