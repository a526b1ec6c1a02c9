"""The model card of an encoder, in the form of Hugging Face: what it was made from, and whom it has seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.markdown_text import cell, code
from experiments.inference.encoder_files import EncoderConfig


def encoder_card(config: EncoderConfig, n_weights: int, digest: str) -> str:
    """Write the card as Markdown with a YAML header, from what the files hold.

    It claims nothing about how good the encoder is: whoever measured that adds the table.

    Args:
        config: of the encoder.
        n_weights: how many numbers it has.
        digest: SHA-256 of the weights.
    """
    window, shape = config.window, config.imu_input
    return f"""---
library_name: imu-video-har
tags:
  - imu
  - human-activity-recognition
  - wearables
pipeline_tag: feature-extraction
---

# IMU encoder `{config.name}`

{"**Simulated data**: it was pretrained on simulated people, among others or alone." if config.simulated else ""}
{f"**Incomplete training**: these weights are of {config.incomplete}." if config.incomplete else ""}

{n_weights:,} weights, SHA-256 `{digest[:16]}`. Use:

```python
from encoders import load_imu_encoder

encoder = load_imu_encoder("THIS_FOLDER")
found = encoder.embed(array, rate_hz=100, acceleration_unit="g", gyroscope_unit="deg/s")
```

## Input

- Windows of {shape.duration_s:g} s at {shape.rate_hz:g} Hz, {shape.channels} channels; `embed` resamples and cuts.
- Normalisation: `{config.normalisation}`.
- Interpolated gaps: up to {window.max_gap_s:g} s. Windows with these faults are left out: {window.exclude or "none"}.

## What it has seen

{_seen_table(config.seen)}

`config.json` has the same as `seen`. Whoever is named there is no test of this encoder.

## Limits

- No figure of its accuracy is known to this card. Add a table, with its protocol, before others rely on it.
- It is no medical device.
"""


def _seen_table(seen: Sequence[dict[str, Any]] | None) -> str:
    if seen is None:
        return "Not known. Take care: a test set may have been among it."
    rows = ["| data set | people | labels used |", "| --- | --- | --- |"]
    for entry in seen:
        people = entry["subjects"]
        named = "all" if people == "all" else ", ".join(people)
        rows.append(f"| {code(entry['dataset'])} | {cell(named)} | {'yes' if entry['labels'] else 'no'} |")
    return "\n".join(rows)
