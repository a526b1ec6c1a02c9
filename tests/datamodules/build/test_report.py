from __future__ import annotations

from pathlib import Path

import pytest

from datamodules.build.report import BuildReport
from datamodules.shards.index import Index
from datamodules.windows.cut import WindowSettings


def report(unusable: int) -> str:
    """What a build says of so many recordings that could not be used."""
    exclusions = tuple(
        {"recording": f"r{i}", "start_s": 0.0, "reason": "unusable", "detail": f"r{i}.csv: not there"}
        for i in range(unusable)
    )
    counts: dict[str, dict[str, int]] = {"subject": {}, "activity": {}, "fault": {}}
    index = Index({}, "", WindowSettings(), False, (), {}, counts, exclusions)
    return str(BuildReport(Path("shards"), index, unusable, 0, 0, 1.0))


@pytest.mark.parametrize(("unusable", "named"), [(0, 0), (1, 1), (20, 20), (21, 20), (671, 20)])
def test_what_could_not_be_used_is_named_up_to_a_screenful(unusable: int, named: int) -> None:
    text = report(unusable)
    assert text.count(".csv: not there") == named
    assert ("left out, unusable" in text) == (unusable > 0)
    more = f"    and {unusable - named} more, all of them in shards/index.json"
    assert (more in text.splitlines()) == (unusable > named)
