"""A made-up study whose subjects have tell-tale names, for what must not give names away."""

from __future__ import annotations

from pathlib import Path

from experiments.example_study import manifest_text, simulate, write_recordings

# One with a letter beyond ASCII; all so long that chance does not write them.
NAMES = ("Wilhelmina", "Bartholomäus", "Zebediah", "Quirinius")
FOLDER = "Ravensburgklinik"  # of the study: paths give names away, too

_EXPERIMENT = """
datasets:
  pretraining:
    source: {{name: manifest, params: {{path: {path}}}}}
    placement: head
    camera: phone
    subjects: [{0}, {1}]
  target:
    source: {{name: manifest, params: {{path: {path}}}}}
    placement: head
    camera: phone
    subjects: [{2}, {3}]
window: {{duration_s: 4.0, stride_s: 2.0, frames: 4, frame_size: 32}}
build: {{workers: 1, clocks: 'off'}}
imu_encoder: {{params: {{width: 16, depth: 1, heads: 2, stem_channels: [8, 16]}}}}
video_encoder:
  params: {{kwargs: {{patch_size: 16, embed_dim: 16, depth: 1, num_heads: 2}}, grid_size: 2}}
video_pretraining: {{steps: 2, batch_size: 4, windows: 8, params: {{decoder_width: 16, decoder_depth: 1}}}}
video_head: {{params: {{width: 16, depth: 1, heads: 2, input_norm: standard}}}}
pretraining: {{batch_size: 4, validation_share: 0.5, normalisation: physical}}
trainer: {{max_epochs: 1, validate_every: 1, threads: 1, accelerator: cpu, log_every: 1}}
development: {{manifest: [{2}]}}
evaluation:
  targets:
    - {{name: new people, dataset: target, test_where: {{subject: [{2}, {3}]}}}}
  methods: [majority, zero_shot, linear_probe]
  shots: [1]
  draws: 1
  bootstrap: 50
  allow_leaks: true  # so few windows are told apart by chance
  map_windows: 0
  shift: false
"""


def write_study(root: Path, seconds: float = 40.0) -> Path:
    """Write motion, video and labels of four people under their names; returns the experiment's file."""
    folder = root / FOLDER
    write_recordings(folder, simulate(patients=len(NAMES), seconds=seconds), size=64)
    for kind in ("imu", "labels", "video"):
        for number, name in enumerate(NAMES, 1):
            (path,) = (folder / kind).glob(f"P{number:02d}_1.*")
            path.rename(path.with_name(f"{name}_1{path.suffix}"))
    (folder / "manifest.yaml").write_text(manifest_text(FOLDER), encoding="utf-8")
    (folder / "names.txt").write_text("\n".join([*NAMES, FOLDER]), encoding="utf-8")
    experiment = folder / "study.yaml"
    experiment.write_text(_EXPERIMENT.format(*NAMES, path=folder / "manifest.yaml"), encoding="utf-8")
    return experiment
