"""Fuzzing that coverage guides, by the package atheris; it is optional, and quick parsers profit most."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

GUIDED = ("text_table", "mp4_movie", "matlab", "bvh", "vrs", "tsdf", "index", "features", "cells")


def guided(seconds: int, corpus: Path) -> int:
    """Fuzz each of these parsers for its share of the time; 1 if something failed, which is then in the corpus."""
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed: coverage guides nothing (uv pip install atheris)")
        return 0
    code = 0
    for name in GUIDED:
        with tempfile.TemporaryDirectory(prefix="guided-") as folder:
            each = str(max(1, seconds // len(GUIDED)))
            command = [sys.executable, "-m", "helpers.fuzz.guided", name, each, str(corpus), folder]
            code |= int(subprocess.run(command, check=False).returncode != 0)
    return code


def _fuzz_one(name: str, seconds: str, corpus: Path, folder: Path) -> None:
    atheris = importlib.import_module("atheris")  # no dependency: whoever wants it installs it

    with atheris.instrument_imports(include=["datamodules", "experiments", "core"]):
        from helpers.fuzz.parsers import parsers
        from helpers.fuzz.run import Bench, keep, prepare_process

        parser = parsers()[name]
        bench = Bench.of(parser, folder / "bench")
    prepare_process(memory=0)
    (folder / "seeds").mkdir()
    for number, content in enumerate(bench.seeds):
        (folder / "seeds" / str(number)).write_bytes(content)

    def one_input(content: bytes) -> None:
        if failure := bench.failure(content):
            print(f"{keep(corpus, name, content)}: {failure}", flush=True)
            os._exit(1)

    options = [f"-max_total_time={seconds}", "-verbosity=0", "-print_final_stats=1", str(folder / "seeds")]
    atheris.Setup([sys.argv[0], *options], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    _fuzz_one(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
