"""Mutations of valid files, and bytes by chance: quick ones, since there are a million."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

_TOKENS = (
    b"", b"\0", b"\n", b"\r\n", b",", b";", b"\t", b'"', b"'", b"-", b"NaN", b"inf", b"-inf", b"1e999", b"1_0", b"0x10",
    b"9" * 20, b"9" * 400, b"-1", b"0", b"null", b"true", b"{}", b"[]", b"{", b"]", b"[[[[", b"<<: ", b"*a", b"&a ",
    b"!!python/object:os.system ", b"../../x", b"/dev/zero", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3", b"\xe2\x80\xae",
    b"=cmd|' /C calc'!A0", b"%s%n", b"1970-01-01T00:00:00", b"2024-13-45", b"24:00:00", b"PK\x05\x06", b"PK\x01\x02",
)  # fmt: skip
_INTEGERS = (0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 40)
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")

Edit = Callable[[bytearray, random.Random], None]


def mutated(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """A valid file with one to four changes; one in twenty is bytes by chance."""
    if rng.random() < 0.05:
        return rng.randbytes(rng.randrange(200))
    content = bytearray(seeds[rng.randrange(len(seeds))])
    for _ in range(1 + int(rng.random() ** 2 * 4)):
        _EDITS[int(rng.random() * len(_EDITS))](content, rng)
    return bytes(content)


def smaller(content: bytes, fails: Callable[[bytes], bool], tries: int = 200) -> bytes:
    """Take pieces out of what fails while it goes on failing, so that what is kept is small."""
    size = len(content) // 2
    while size and tries:
        at = 0
        while at < len(content) and tries:
            tries -= 1
            less = content[:at] + content[at + size :]
            if fails(less):
                content = less
            else:
                at += size
        size //= 2
    return content


def _at(content: bytearray, rng: random.Random) -> int:
    return int(rng.random() * (len(content) + 1))


def _flip(content: bytearray, rng: random.Random) -> None:
    if content:
        content[int(rng.random() * len(content))] ^= 1 << rng.randrange(8)


def _byte(content: bytearray, rng: random.Random) -> None:
    if content:
        content[int(rng.random() * len(content))] = rng.randrange(256)


def _integer(content: bytearray, rng: random.Random) -> None:
    width = rng.choice((2, 4, 4, 8))
    number = rng.choice(_INTEGERS) % (1 << 8 * width)
    at = _at(content, rng)
    content[at : at + width] = number.to_bytes(width, rng.choice(("big", "little")))


def _cut(content: bytearray, rng: random.Random) -> None:
    at = _at(content, rng)
    del content[at : at + rng.choice((1, 1, 2, 4, 16, 100))]


def _end(content: bytearray, rng: random.Random) -> None:
    del content[_at(content, rng) :]


def _insert(content: bytearray, rng: random.Random) -> None:
    at = _at(content, rng)
    content[at:at] = rng.choice(_TOKENS)


def _replace(content: bytearray, rng: random.Random) -> None:
    at = _at(content, rng)
    token = rng.choice(_TOKENS)
    content[at : at + len(token)] = token


def _repeat(content: bytearray, rng: random.Random) -> None:
    at = _at(content, rng)
    piece = content[at : at + rng.choice((1, 4, 16, 64))]
    content[at:at] = piece * rng.choice((1, 1, 2, 8))


def _move(content: bytearray, rng: random.Random) -> None:
    at = _at(content, rng)
    piece = content[at : at + 16]
    del content[at : at + 16]
    to = _at(content, rng)
    content[to:to] = piece


def _number(content: bytearray, rng: random.Random) -> None:
    """Another number, or none, where one stands."""
    at = _at(content, rng)
    if found := _NUMBER.search(content, at):
        content[found.start() : found.end()] = rng.choice(_TOKENS)


_EDITS: tuple[Edit, ...] = (_flip, _byte, _integer, _cut, _end, _insert, _replace, _repeat, _move, _number)
