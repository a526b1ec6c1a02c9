from core.suggestions import did_you_mean


def test_close_words_are_suggested_and_others_are_not() -> None:
    assert did_you_mean("widht", ["width", "depth"]) == "; did you mean 'width'?"
    assert did_you_mean("WIDTH", ["width", "depth"]) == "; did you mean 'width'?"
    assert did_you_mean("colour", ["width", "depth"]) == ""
    assert did_you_mean("lr", ["lr"], prefix="optim.") == "; did you mean 'optim.lr'?"
    assert did_you_mean("rate", ["rates", "rated"], most=2) == "; did you mean 'rates' or 'rated'?"


def test_a_whole_file_in_place_of_a_word_takes_no_time() -> None:
    assert did_you_mean("x" * 10_000_000, ["width"]) == ""
