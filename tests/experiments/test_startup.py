"""Commands answer at once: what they import before they have anything to do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.example_study import manifest_text, simulate, write_recordings

COMMANDS = sorted(path.stem for path in (Path(__file__).parents[2] / "experiments").glob("[a-z]*.py"))
HEAVY = {"torch", "timm", "lightning", "torchvision", "matplotlib", "pandas", "sklearn", "scipy", "h5py", "numpy"}
# Runs a command as `python -m` does, and says which modules it brought in.
RUN = """
import json, runpy, sys
name, sys.argv = sys.argv[1], sys.argv[1:]
try:
    runpy.run_module(name, run_name="__main__", alter_sys=True)
except SystemExit as end:
    code = end.code
print()
print(json.dumps([code or 0, sorted({name.split(".")[0] for name in sys.modules})]))
"""


def run(*arguments: str) -> tuple[int, str, set[str]]:
    done = subprocess.run([sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, check=False)
    text, _, last = done.stdout.rstrip("\n").rpartition("\n")
    assert last, done.stderr
    code, modules = json.loads(last)
    return code, text, set(modules)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_imports_nothing_heavy(command: str) -> None:
    code, text, modules = run(f"experiments.{command}", "--help")
    assert code == 0
    assert f"python -m experiments.{command}" in text
    assert modules & HEAVY == set()


def test_help_lists_settings_with_type_default_and_help() -> None:
    _, text, _ = run("experiments.pretrain", "--help")
    assert "weight of telling the frames' true order by the IMU; 0 leaves it out [float, default 0.5]" in text
    assert "datasets.<name>.source.name" in text
    assert "window.duration_s" in text


def test_checking_a_study_without_video_needs_no_network_of_layers(tmp_path: Path) -> None:
    write_recordings(tmp_path, simulate(1, 20.0, video=False))
    (tmp_path / "manifest.yaml").write_text(manifest_text("study", video=False))
    code, text, modules = run("experiments.check_import", str(tmp_path / "manifest.yaml"))
    assert code == 0, text
    assert modules & {"torch", "timm", "lightning", "torchvision", "matplotlib", "sklearn"} == set()


def test_the_process_that_reads_recordings_to_predict_has_no_torch() -> None:
    """Each of its 300 MB would be there once more: workers score, and have it."""
    parts = ("inference.scoring", "inference.recordings", "inference.said", "reports.prediction.page")
    code = "; ".join(f"import experiments.{part}" for part in parts)
    code += "; import sys; print('torch' in sys.modules, 'lightning' in sys.modules, 'sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"] * 3
