import hashlib
from pathlib import Path

import pytest

from core.digest import canonical, digest_of, file_digest


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
