"""Bounds of what is read: how much a packed file may unpack to, and how large and deep YAML and JSON may be.

A file of a few kilobytes can ask for any amount of memory: by compression, by YAML's aliases, by nesting. Each bound
is far above what recordings and settings have, and below what a laptop has.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

UNPACKED_BYTES = 256 << 20  # that any packed file may have when it is unpacked: nine million rows of four numbers
UNPACKED_RATIO = 200  # and how many times its own size; real recordings unpack to 3 to 20 times
YAML_BYTES = 4 << 20
YAML_NODES = 100_000  # keys and values, each alias counted with all that it stands for
YAML_DEPTH = 50
YAML_DIGITS = 250  # of a whole number, also one written in hexadecimal: a double can hold it
JSON_BYTES = 256 << 20


class TooMuchError(ValueError):
    """Content that is larger or deeper than its bound; the message says what was found and what is allowed."""


def most_unpacked(packed: int) -> int:
    """Bytes that a file of ``packed`` bytes may have when it is unpacked."""
    return max(UNPACKED_BYTES, UNPACKED_RATIO * packed)


def check_unpacked(unpacked: int, packed: int) -> None:
    """Compare what a file unpacks to with what it may.

    Args:
        unpacked: bytes so far, or as the file states them.
        packed: bytes of the file.

    Raises:
        TooMuchError: the message begins with the size that was found.
    """
    if unpacked > most_unpacked(packed):
        raise TooMuchError(
            f"{_size(unpacked)} unpacked, from {_size(packed)}; expected at most {_size(most_unpacked(packed))}"
            f" ({UNPACKED_RATIO} times its size)"
        )


def read_yaml(path: Path, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """Read a YAML file as plain values; see :func:`parse_yaml`.

    Raises:
        OSError: the file can't be read.
        yaml.YAMLError, ValueError: it is no YAML, or larger than its bounds.
    """
    if (found := path.stat().st_size) > YAML_BYTES:
        raise TooMuchError(f"{_size(found)}; expected at most {_size(YAML_BYTES)} of YAML")
    return parse_yaml(path.read_text(encoding="utf-8"), loader)


def parse_yaml(text: str, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """Parse YAML as plain values.

    Args:
        text: the content.
        loader: a safe loader.

    Raises:
        yaml.YAMLError: it is no YAML.
        TooMuchError: it is larger or deeper than its bounds, with its aliases and merged keys.
        ValueError: a value is none of its kind, e.g. the date 2024-13-45.
    """
    if len(text) > YAML_BYTES:
        raise TooMuchError(f"{len(text):,} characters; expected at most {YAML_BYTES:,} of YAML")
    reader = _bounded(loader)(text)
    try:
        node = reader.get_single_node()
        if node is None:
            return None
        _count(node, {}, 0)
        return reader.construct_document(node)
    except RecursionError as error:
        raise TooMuchError(f"nested too deeply; expected at most {YAML_DEPTH} levels") from error
    finally:
        reader.dispose()


def parse_json(content: bytes | str) -> Any:
    """Parse JSON; whatever is wrong with it is one kind of error.

    Raises:
        json.JSONDecodeError: it is no JSON in UTF-8, nested too deeply, or larger than its bound.
    """
    if len(content) > JSON_BYTES:
        raise json.JSONDecodeError(f"{_size(len(content))}; expected at most {_size(JSON_BYTES)} of JSON", "", 0)
    try:
        return json.loads(content if isinstance(content, str) else content.decode("utf-8"))
    except json.JSONDecodeError:
        raise
    except RecursionError as error:
        raise json.JSONDecodeError("nested too deeply", "", 0) from error
    except ValueError as error:  # no UTF-8, or a number of thousands of digits
        raise json.JSONDecodeError(str(error), "", 0) from error


def read_json(path: Path) -> Any:
    """Read a JSON file; see :func:`parse_json`.

    Raises:
        OSError: the file can't be read.
        json.JSONDecodeError: it is no JSON in UTF-8, nested too deeply, or larger than its bound.
    """
    if (found := path.stat().st_size) > JSON_BYTES:
        raise json.JSONDecodeError(f"{_size(found)}; expected at most {_size(JSON_BYTES)} of JSON", "", 0)
    return parse_json(path.read_bytes())


def value_problem(value: object) -> str:
    """Say what is wrong with one value of settings, wherever it stands; empty if nothing is."""
    if isinstance(value, str) and "\0" in value:
        return "found a character of number 0 (\\0); expected text, of which no name of a file has one"
    if isinstance(value, int) and abs(value) >= 10**YAML_DIGITS:
        return _TOO_MANY_DIGITS
    return ""


_TOO_MANY_DIGITS = f"found a whole number of more than {YAML_DIGITS} digits; expected fewer"
_INTEGER = "tag:yaml.org,2002:int"
_loaders: dict[type[yaml.SafeLoader], type[yaml.SafeLoader]] = {}


def _bounded(loader: type[yaml.SafeLoader]) -> type[yaml.SafeLoader]:
    """Make the loader count what it composes, so that it stops early."""
    if loader not in _loaders:

        class Bounded(loader):  # type: ignore[valid-type, misc]
            _nodes = _depth = 0

            def compose_node(self, parent: Any, index: Any) -> Any:
                self._nodes += 1
                self._depth += 1
                if self._nodes > YAML_NODES:
                    raise TooMuchError(f"more than {YAML_NODES:,} keys and values; expected at most so many in YAML")
                if self._depth > YAML_DEPTH:
                    raise TooMuchError(f"nested more than {YAML_DEPTH} levels deep; expected at most so many")
                node = super().compose_node(parent, index)
                self._depth -= 1
                if isinstance(node, yaml.ScalarNode):
                    # Of a whole number the text counts, since Python makes none of more than 4,300 digits.
                    whole = node.tag == _INTEGER and len(node.value) > YAML_DIGITS
                    if problem := _TOO_MANY_DIGITS if whole else value_problem(node.value):
                        raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
                return node

        _loaders[loader] = Bounded
    return _loaders[loader]


def _count(node: yaml.Node, known: dict[int, tuple[int, int]], depth: int) -> tuple[int, int]:
    """Count a node's keys and values and its levels, each alias with all that it stands for."""
    if id(node) in known:
        return known[id(node)]
    if isinstance(node, yaml.ScalarNode):
        return 1, 1
    if depth > YAML_DEPTH:  # an alias of what it is in
        raise TooMuchError(f"an alias of itself, or nested more than {YAML_DEPTH} levels deep")
    children = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
    total = deepest = 0
    for child in children:
        nodes, levels = _count(child, known, depth + 1)
        total, deepest = total + nodes, max(deepest, levels)
        if total > YAML_NODES:
            raise TooMuchError(
                f"aliases that stand for more than {YAML_NODES:,} keys and values; expected at most so many in YAML"
            )
    if deepest >= YAML_DEPTH:
        raise TooMuchError(f"nested more than {YAML_DEPTH} levels deep, with its aliases; expected at most so many")
    known[id(node)] = total + 1, deepest + 1
    return known[id(node)]


def _size(nbytes: int) -> str:
    return f"{nbytes / 2**20:,.0f} MiB" if nbytes >= 1 << 20 else f"{nbytes:,} bytes"
