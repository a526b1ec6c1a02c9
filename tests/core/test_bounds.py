from __future__ import annotations

import json
import time
import tracemalloc
from pathlib import Path

import pytest
import yaml

from core import bounds
from core.bounds import TooMuchError, check_unpacked, most_unpacked, parse_json, parse_yaml, read_json, read_yaml

MERGES = "a0: &a0 {k: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}\n" for i in range(1, 12))
LAUGHS = "a0: &a0 x\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12))
BOMBS = {
    "merged keys": MERGES,
    "aliases": LAUGHS,
    "an alias of itself": "a: &a [*a]",
    "keys that merge themselves": "a: &a {<<: *a}",
    "depth": "[" * 20_000,
    "depth of mappings": "{a: " * 20_000,
    "block depth": "".join(" " * i + "a:\n" for i in range(60)) + " " * 60 + "a: 1",
    "values": "[" + "a," * 200_000 + "]",
    "characters": "# " + "x" * (bounds.YAML_BYTES + 1),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_of_yaml_is_refused_in_little_time_and_memory(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "YAML_NODES", 10_000)  # a tenth, to be quick
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises((TooMuchError, yaml.YAMLError)):
        parse_yaml(BOMBS[name])
    seconds, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # Traced and on a busy core, the longest took 3 s and 40 MB.
    assert seconds < 30
    assert peak < 256 << 20


def test_yaml_just_below_its_bounds_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "YAML_NODES", 100)
    assert len(parse_yaml("[" + "a," * 99 + "]")) == 99  # and the list itself
    with pytest.raises(TooMuchError, match="more than 100 keys and values"):
        parse_yaml("[" + "a," * 100 + "]")
    # The alias counts with the ten and the list that it stands for: 1 + (1 + 11) + 7 * 11 = 90, and two keys.
    ten = "a: &a [" + "x," * 10 + "]\n"
    assert len(parse_yaml(ten + "b: [" + "*a," * 7 + "]")["b"]) == 7
    with pytest.raises(TooMuchError, match="aliases that stand for more than 100"):
        parse_yaml(ten + "b: [" + "*a," * 8 + "]")
    deep = bounds.YAML_DEPTH
    assert parse_yaml("[" * deep + "]" * deep)
    with pytest.raises(TooMuchError, match=f"nested more than {deep} levels"):
        parse_yaml("[" * (deep + 1) + "]" * (deep + 1))


def test_yaml_reads_what_the_safe_loader_reads(tmp_path: Path) -> None:
    text = "base: &b {x: 1, y: [1, 2.5, null]}\nmore: {<<: *b, z: yes}\nday: 2024-01-02\n"
    assert parse_yaml(text) == yaml.safe_load(text)
    assert parse_yaml("") is None
    (tmp_path / "a.yaml").write_text(text)
    assert read_yaml(tmp_path / "a.yaml") == yaml.safe_load(text)
    with pytest.raises(yaml.YAMLError):
        parse_yaml("!!python/object/apply:os.system [ls]")


def test_a_large_yaml_file_is_not_even_read(tmp_path: Path) -> None:
    with (tmp_path / "a.yaml").open("wb") as file:
        file.truncate(10 << 30)  # of holes
    with pytest.raises(TooMuchError, match=r"10,240 MiB; expected at most 4 MiB of YAML"):
        read_yaml(tmp_path / "a.yaml")


@pytest.mark.parametrize("content", [b"[" * 200_000, b'{"a":' * 200_000, b"1" * 10_000, b"\xff", b"{", b""])
def test_whatever_is_wrong_with_json_is_one_kind_of_error(content: bytes) -> None:
    with pytest.raises(json.JSONDecodeError):
        parse_json(content)


def test_a_large_json_file_is_not_even_read(tmp_path: Path) -> None:
    with (tmp_path / "a.json").open("wb") as file:
        file.truncate(10 << 30)
    with pytest.raises(json.JSONDecodeError, match=r"10,240 MiB; expected at most 256 MiB of JSON"):
        read_json(tmp_path / "a.json")
    (tmp_path / "b.json").write_text('{"a": [1, NaN]}')
    assert read_json(tmp_path / "b.json")["a"][0] == 1


def test_what_a_file_may_unpack_to() -> None:
    free, ratio = bounds.UNPACKED_BYTES, bounds.UNPACKED_RATIO
    check_unpacked(free, 1)
    with pytest.raises(TooMuchError, match="256 MiB unpacked, from 1 bytes; expected at most 256 MiB"):
        check_unpacked(free + 1, 1)
    packed = free // ratio + 1000
    check_unpacked(ratio * packed, packed)
    assert most_unpacked(packed) == ratio * packed
    with pytest.raises(TooMuchError):
        check_unpacked(ratio * packed + 1, packed)


def test_text_that_no_file_can_be_named_by_is_refused_with_its_place() -> None:
    with pytest.raises(yaml.YAMLError, match=r"character of number 0 \(\\0\)(.|\n)*line 2, column 7"):
        parse_yaml('a: 1\nruns: "x\\0y"\n')
    assert parse_yaml("runs: 'x\\0y'") == {"runs": "x\\0y"}  # single quotes: a backslash and a digit


@pytest.mark.parametrize("number", ["9" * 251, "0x" + "f" * 249])
def test_a_whole_number_that_no_double_holds_is_refused_with_its_place(number: str) -> None:
    with pytest.raises(
        yaml.YAMLError, match=r"whole number of more than 250 digits; expected fewer(.|\n)*line 2, column 13"
    ):
        parse_yaml(f"a: 1\nduration_s: {number}\n")
    assert parse_yaml(f"a: {number[:-1]}")["a"] == int(number[:-1], 0)
    assert parse_yaml(f"a: '{number}'") == {"a": number}
