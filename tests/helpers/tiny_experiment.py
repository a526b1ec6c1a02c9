"""The data of tiny experiments: two simulated people with a camera and a sensor on their heads."""

from __future__ import annotations


def two_people(seconds: int) -> str:
    """The setting ``datasets`` as YAML, of recordings this long; other data sets may follow it."""
    return f"""
datasets:
  pretraining:
    source:
      name: simulator
      params: {{subjects: 2, sessions_per_subject: 1, session_s: {seconds}, placements: [head], cameras: [head]}}
    placement: head
    camera: head"""
