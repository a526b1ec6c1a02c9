"""Help without imports: the description that is parsed is the one of the classes themselves."""

from experiments.settings.descriptions import describe
from experiments.settings.static_help import describe_statically


def test_what_is_parsed_is_what_is_there() -> None:
    rows = list(describe_statically())
    assert rows == list(describe())
    assert ("loss.order.weight", "float", "0.5") in {row[:3] for row in rows}
    assert ("evaluation.targets.<i>.dataset", "str", "''") in {row[:3] for row in rows}


def test_every_setting_has_a_line_of_help() -> None:
    for path, _, _, text in describe_statically():
        assert len(text.split()) >= 2, path
