"""The parsers of files from outside, each with small valid files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from helpers.fuzz import answers, valid
from helpers.published_sets import SETS

from core.errors import MendableError
from datamodules.sources.manifest.spec import AccelerationSpec, CsvSpec, ImuSpec, SensorSpec, TimeSpec
from datamodules.sources.manifest.stamps.text_times import TimeTextError

_SPEC = ImuSpec("x", {"wrist": SensorSpec(AccelerationSpec([2, 3, 4], "m/s^2"))}, TimeSpec(1, "s"), csv=CsvSpec())


@dataclass(frozen=True)
class Parser:
    """One parser.

    Attributes:
        name: of the parser, and of its folder in the corpus.
        file: name of the file that it reads, in a folder of its own.
        seeds: writes what else it needs into that folder, and returns valid contents of the file.
        read: of the path. What it returns is an answer; all else is an error.
        weight: how much of the inputs it gets: the quick ones most.
        errors: what it may raise.
    """

    name: str
    file: str
    seeds: Callable[[Path], list[bytes]]
    read: Callable[[Path], object]
    weight: float
    errors: tuple[type[Exception], ...] = (MendableError,)


def parsers() -> Mapping[str, Parser]:
    """All of them, by name."""
    with_dates = replace(_SPEC, time=TimeSpec(1, "iso8601"))
    every = (
        Parser("text_table", "a.txt", valid.number_texts, answers.text_table, 30),
        Parser("mp4_boxes", "a.mp4", valid.movies, answers.boxes, 20),
        Parser("mp4_movie", "a.mp4", valid.movies, answers.movie, 12),
        Parser("matlab", "a.mat", valid.mats, answers.matlab, 15),
        Parser("bvh", "a.bvh", lambda _: [valid.BVH.encode()], answers.bvh, 12),
        Parser("vrs", "a.vrs", valid.vrs_files, answers.vrs, 8),
        Parser("zip", "a.zip", valid.zips, answers.zip_archive, 6),
        Parser("tsdf", "IMU_meta.json", valid.tsdf, answers.tsdf_read, 8),
        Parser("stamps", "a.txt", valid.stamp_texts, answers.stamps, 4, (MendableError, TimeTextError)),
        Parser("csv", "a.csv", lambda _: [valid.ROWS.encode()], lambda path: answers.motion(path, _SPEC), 1.5),
        Parser("csv_dates", "a.csv", valid.dated, lambda path: answers.motion(path, with_dates), 0.6),
        Parser("parquet", "a.parquet", valid.parquet, lambda path: answers.motion(path, _SPEC), 1),
        Parser("npy", "a.npy", valid.npy, lambda path: answers.motion(path, _SPEC), 1.5),
        Parser("xlsx", "a.xlsx", valid.xlsx, lambda path: answers.motion(path, _SPEC), 0.1),
        *(
            Parser(
                f"xlsx_{part.partition('.')[0].lower()}",
                part,
                valid.part_of(valid.xlsx, "s.xlsx", part),
                lambda path: answers.within(path, "s.xlsx", lambda whole: answers.motion(whole, _SPEC)),
                0.2,
            )
            for part in ("sheet1.xml", "workbook.xml", "styles.xml")
        ),
        Parser("shard", "shard.h5", valid.shards, answers.shard, 2),
        Parser("labels", "l.csv", lambda _: [b"start,end,activity\n0,1,walk\n1,2.5,sit\n"], answers.labels, 1.5),
        Parser("manifest", "m.yaml", valid.manifests, answers.manifest, 0.4),
        Parser("config", "c.yaml", lambda _: [valid.CONFIG], answers.config, 0.15),
        Parser("saved_config", "config.yaml", valid.saved_configs, answers.saved_config, 0.03),
        Parser("safetensors", "w.safetensors", valid.tensors, answers.safetensors, 8),
        Parser("index", "index.json", valid.indices, answers.index, 12),
        Parser("features", "features.json", valid.features_files, answers.features, 3),
        Parser("cells", "cells.jsonl", valid.cells_files, answers.cells, 8),
        Parser("checkpoint", "last.ckpt", valid.checkpoints, answers.checkpoint, 1),
        Parser(
            "checkpoint_pickle",
            "data.pkl",
            valid.part_of(valid.checkpoints, "s.ckpt", "data.pkl"),
            lambda path: answers.within(path, "s.ckpt", answers.checkpoint),
            2,
        ),
        Parser("head", "head.json", valid.heads, answers.head, 1),
        Parser("encoder", "config.json", valid.encoders, answers.encoder, 1),
        *(
            Parser(
                f"set_{name.replace(' ', '_')}",
                "changed",
                valid.published(name),
                partial(answers.published, name=name),
                0.2,
            )
            for name in SETS
            if name != "realworld text"
        ),
        Parser("telemetry", "a.mp4", valid.telemetry_files, answers.telemetry, 0.5),
    )
    return {parser.name: parser for parser in every}
