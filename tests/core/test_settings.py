from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.settings import SettingError, check_settings, setting


@dataclass
class Inner:
    share: float = setting(0.5, "a share", at_least=0, below=1)
    rates: list[float] = setting([0.1], "rates", above=0)


@dataclass
class Outer:
    kind: str = setting("grid", "a kind", choices=("grid", "centred"))
    count: int = setting(3, "a number", at_least=1)
    inner: Inner = setting(Inner(), "more")
    named: dict[str, Inner] = setting({}, "many")
    listed: list[Inner] = setting([], "some")

    def check(self) -> None:
        if self.kind == "centred" and self.count > 5:
            raise ValueError("count: at most 5 where kind is 'centred'")


def test_defaults_are_copied_for_each_instance() -> None:
    first, second = Outer(), Outer()
    first.inner.rates.append(1.0)
    assert second.inner.rates == [0.1]
    check_settings(first)


@given(st.floats())
def test_a_range_is_kept_to_the_last_value(value: float) -> None:
    settings = Outer(inner=Inner(share=value))
    if math.isfinite(value) and 0 <= value < 1:
        check_settings(settings)
    else:
        with pytest.raises(SettingError, match=r"^inner\.share: expected a number at least 0 and below 1, found"):
            check_settings(settings)


@pytest.mark.parametrize("value", [1 << 63, -(1 << 63), 10**400])
def test_a_whole_number_that_no_double_or_count_holds(value: int) -> None:
    with pytest.raises(
        SettingError, match=r"^inner\.share: expected a number below 2 to the power of 63, found one of"
    ):
        check_settings(Outer(inner=Inner(share=value)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Outer(kind="gird"), r"^window\.kind: expected one of grid, centred; found 'gird'; did you mean 'grid'\?"),
        (Outer(count=0), r"^window\.count: expected a number at least 1, found 0"),
        (Outer(inner=Inner(rates=[0.1, -1.0])), r"^window\.inner\.rates: expected a number above 0, found -1"),
        (Outer(named={"a": Inner(share=1.0)}), r"^window\.named\.a\.share: "),
        (Outer(listed=[Inner(), Inner(share=1.0)]), r"^window\.listed\.1\.share: "),
        (Outer(kind="centred", count=6), r"^window\.count: at most 5 where kind is 'centred'"),
    ],
)
def test_a_message_names_path_value_and_what_is_allowed(settings: Outer, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        check_settings(settings, "window")
