"""Pseudonyms: the same for the same name, different for others, nothing without the key."""

from __future__ import annotations

import hashlib
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodules.privacy import pseudonyms as module
from datamodules.privacy.key import PrivacyError
from datamodules.privacy.pseudonyms import RECORDING, SUBJECT, TEXT, Pseudonyms, is_pseudonym

KEY, OTHER = bytes(32), bytes([1] * 32)


@given(st.lists(st.text(min_size=1), min_size=2, unique_by=lambda name: unicodedata.normalize("NFC", name)))
def test_different_names_have_different_pseudonyms(names: list[str]) -> None:
    ours = Pseudonyms(KEY)
    made = [ours.of(SUBJECT, name) for name in names]
    assert len(set(made)) == len(names)
    assert all(map(is_pseudonym, made))
    assert made == [Pseudonyms(KEY).of(SUBJECT, name) for name in names]
    assert not set(made) & {Pseudonyms(OTHER).of(SUBJECT, name) for name in names}
    assert [ours.of(SUBJECT, each) for each in made] == made  # a pseudonym stays as it is


def test_a_pseudonym_is_the_keyed_hash() -> None:
    # 20 letters of base32 are the first 100 bits of the keyed BLAKE2b.
    digest = hashlib.blake2b(b"Anna", key=KEY, person=b"subject").digest()
    bits = "".join(f"{byte:08b}" for byte in digest)[:100]
    letters = "abcdefghijklmnopqrstuvwxyz234567"
    expected = "".join(letters[int(bits[i : i + 5], 2)] for i in range(0, 100, 5))
    assert Pseudonyms(KEY).of(SUBJECT, "Anna") == f"s-{expected}"


def test_kinds_do_not_tell_of_each_other() -> None:
    ours = Pseudonyms(KEY)
    made = {ours.of(kind, "Anna")[2:] for kind in (SUBJECT, RECORDING, TEXT)}
    assert len(made) == 3


def test_letters_composed_in_two_ways_are_one_name() -> None:
    ours = Pseudonyms(KEY)
    composed, decomposed = "Jörg", unicodedata.normalize("NFD", "Jörg")
    assert composed != decomposed
    assert ours.of(SUBJECT, composed) == ours.of(SUBJECT, decomposed)
    with pytest.raises(PrivacyError, match="differ in the composition of letters alone"):
        ours.table(SUBJECT, [composed, decomposed])


def test_names_that_share_a_pseudonym_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LETTERS", 1)  # 32 pseudonyms for 100 names
    with pytest.raises(PrivacyError, match="two names of the kind 'subject' have the same pseudonym") as raised:
        Pseudonyms(KEY).table(SUBJECT, [f"person {number}" for number in range(100)])
    assert "person" not in str(raised.value)


def test_the_order_of_a_table_tells_nothing_of_the_names() -> None:
    table = Pseudonyms(KEY).table(RECORDING, [f"name {number:02d}" for number in range(50)])
    assert list(table) == sorted(table)
    assert list(table.values()) != sorted(table.values())


def test_a_name_that_looks_like_a_pseudonym_is_refused() -> None:
    with pytest.raises(PrivacyError, match="named like a pseudonym"):
        Pseudonyms(KEY).table(SUBJECT, ["s-" + "a" * 20])


def test_the_id_of_a_key_tells_keys_apart_and_is_none_of_their_pseudonyms() -> None:
    assert Pseudonyms(KEY).key_id == Pseudonyms(KEY).key_id != Pseudonyms(OTHER).key_id
    assert KEY.hex()[:16] != Pseudonyms(KEY).key_id
