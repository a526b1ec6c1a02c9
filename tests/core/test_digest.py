import hashlib
import json
from pathlib import Path

import pytest

from core.digest import canonical, digest_of, file_digest, seal_holds, sealed


def test_the_order_of_keys_does_not_matter_and_values_do() -> None:
    assert canonical({"b": 1, "a": [1.5, "é"]}) == '{"a":[1.5,"é"],"b":1}'
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 1.5})
    with pytest.raises(ValueError, match="Out of range"):
        digest_of(float("nan"))


def test_a_file_is_digested_in_blocks(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000  # more than two blocks
    (tmp_path / "file").write_bytes(content)
    assert file_digest(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_a_seal_holds_for_what_is_read_back_and_for_nothing_else() -> None:
    value = {"a": [1, 2.5], "b": {2: "two", 10: "ten"}}  # numbers as keys are text in JSON
    read = json.loads(json.dumps(sealed(value)))
    assert seal_holds(read)
    assert not seal_holds({**read, "a": [1, 2]})
    assert not seal_holds({**read, "c": float("nan")})
    assert seal_holds({"a": 1})  # without a digest there is nothing to differ from
