"""Warnings of models that are fitted in several threads: one is a mistake, others are not."""

from __future__ import annotations

import warnings

import pytest
from sklearn.ensemble import _forest
from sklearn.utils.parallel import delayed

from experiments.evaluation.thread_warnings import threads_fit


@pytest.mark.filterwarnings("default")
def test_a_forest_that_finds_no_filters_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    def fit() -> None:
        warnings.resetwarnings()  # as another thread's tree does for a moment
        (job,) = [delayed(abs)(-1)]
        assert _forest.Parallel()([job]) == [1]

    with warnings.catch_warnings():
        warnings.showwarning = _show
        fit()
    assert "should be used with" in capsys.readouterr().err  # what is kept back does come
    with warnings.catch_warnings():
        warnings.showwarning = _show
        with threads_fit():
            fit()
            warnings.warn("anything else", stacklevel=1)
        assert warnings.showwarning is _show
    said = capsys.readouterr().err
    assert "anything else" in said
    assert "should be used with" not in said


def _show(message: Warning | str, *arguments: object, **options: object) -> None:
    import sys

    print(message, file=sys.stderr)
