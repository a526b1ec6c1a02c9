"""Advice to those who name a data set that has a source but no experiment."""

from __future__ import annotations


def advice_on_source(name: str) -> str:
    """Say which experiment to write for the source called ``name``; nothing if there is no such source."""
    from datamodules.sources.registry import sources  # it imports every source

    known = sources()
    folded = name.lower().replace("-", "_")
    # `mmea` is `uestc_mmea` to those who use it: a whole word of a source's name will do, if it is of one source alone.
    found = [source for source in known if source == folded or folded in source.split("_")]
    if folded in known:
        found = [folded]
    if len(found) != 1:
        return ""
    source = found[0]
    root = getattr(known[source].params(), "root", "")
    params = f", params: {{root: {root or 'FOLDER'}}}" if hasattr(known[source].params(), "root") else ""
    return (
        f"a source '{source}' exists, but no experiment uses it under this name. Write {folded}.yaml:\n\n"
        "  datasets:\n"
        "    pretraining:\n"
        f"      source: {{name: {source}{params}}}\n"
        "      placement: any   # the sensor's place, where a recording has several\n"
        "      camera: ''       # its camera, to learn from video\n\n"
        f"and give its path, {folded}.yaml, instead of '{name}'. `python -m experiments.preview {folded}.yaml` says"
        " if that can be read;\ndocs/guides/datasets.md says where the data come from, docs/guides/your-data.md how an"
        " experiment is written."
    )
