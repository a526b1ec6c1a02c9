"""More shards than a process may hold files open; a lack of descriptors is never taken for a damaged recording."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from helpers.made_shards import DIRECTORY_SETTINGS, make_shards

from datamodules.build import tasks
from datamodules.build.encode import BuildJob
from datamodules.build.parts import PartFiles
from datamodules.build.tasks import BuildError, RecordingTask
from datamodules.privacy.source import SourceInputs
from datamodules.recording import RecordingError

ROOT = Path(__file__).parents[3]
READ = """
import resource, sys
from pathlib import Path
import numpy as np
from datamodules.shards.reader import ShardSet
from datamodules.shards.verify import verify
resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))
shards = ShardSet.open(sys.argv[1])
order = np.random.default_rng(0).permutation(30)
assert shards.imu(order)[0].shape[0] == 30
assert shards.frames(order).any()
assert not verify(Path(sys.argv[1]))
print("read")
"""


def test_shards_beyond_the_limit_of_open_files_are_read(tmp_path: Path) -> None:
    directory = make_shards(tmp_path, [1] * 30)
    said = subprocess.run([sys.executable, "-c", READ, str(directory)], capture_output=True, text=True, cwd=ROOT)
    assert (said.stdout, said.returncode) == ("read\n", 0), said.stderr[-2000:]


@pytest.mark.parametrize("cause", [OSError(errno.EMFILE, os.strerror(errno.EMFILE), "a.mp4"), None])
def test_a_lack_of_descriptors_is_not_held_against_a_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cause: OSError | None
) -> None:
    def fail(*_: object) -> None:
        raise RecordingError("a.mp4: damaged") from cause

    monkeypatch.setattr(tasks, "encode_recording", fail)
    monkeypatch.setattr(tasks, "_source", lambda job: None)
    monkeypatch.setattr(tasks, "_note", lambda folder, name: tmp_path / "note")
    monkeypatch.setattr(RecordingTask, "_parts", lambda self, stages: _Parts())
    job = BuildJob(tmp_path, {}, DIRECTORY_SETTINGS, False, uuid.uuid4().hex, SourceInputs("none"))
    task = RecordingTask(job, "r1", PartFiles.__new__(PartFiles))
    if cause is None:
        task.run()
    else:
        with pytest.raises(BuildError, match=r"recording r1: a\.mp4: damaged; this process may hold \d+ files open"):
            task.run()


class _Parts:
    def __init__(self) -> None:
        self.exclusions: list[object] = []

    def close(self) -> None:
        assert len(self.exclusions) == 1
