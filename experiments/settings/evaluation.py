"""Settings of the evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.settings import setting
from lightning_modules.source_classifier import SourceClassifierSettings


@dataclass
class TargetConfig:
    """One out-of-distribution data set to evaluate on."""

    name: str = setting("", "how tables call it")
    dataset: str = setting("", "a key of 'datasets': who is tested")
    support: list[str] = setting([], "keys of 'datasets' that labels come from; empty takes 'dataset' itself")
    test_where: dict[str, list[str]] = setting({}, "only such windows are tested, e.g. {population: [older]}")
    support_where: dict[str, list[str]] = setting({}, "labels of such windows only, e.g. {population: [young]}")
    activities: list[str] = setting([], "only these; empty takes evaluation.activities")
    labels: str = setting(
        "own",
        "activities by each source's 'own' names, by 'common' ones, or by 'shared' ones: those common ones that a data"
        " set of 'sources' has too; see docs/guides/datasets.md",
        choices=("own", "common", "shared"),
    )
    gyroscope: bool = setting(True, "false takes the gyroscope from all windows, where one of two sets has none")
    event: str = setting("", "the activity that is a rare event, e.g. fall: detection is measured too")
    smoothed: bool = setting(True, "episodes of the event from smoothed probabilities, as predict does; false: falls")
    sources: list[str] = setting(
        [], "keys of 'datasets': labelled sets of other laboratories that the transfer methods learn from too"
    )
    placements: list[str] = setting([], "keys of 'datasets': other sensors of the same recordings, tested as well")


@dataclass
class ExternalConfig:
    """An encoder that others trained, to compare with: a row ``external@NAME`` of the tables."""

    encoder: str = setting("", "name of an IMU encoder, e.g. limu_bert_x")
    params: dict[str, Any] = setting({}, "its settings")
    weights: str = setting("", "safetensors file with its weights, under the encoder's own names")
    card: str = setting("", "YAML file that says which people it has seen; see docs/guides/evaluation.md")
    normalisation: str = setting(
        "physical",
        "of the windows that it gets: 'physical', 'window' or 'none'",
        choices=("physical", "window", "none"),
    )


@dataclass
class EvaluationConfig:
    """The protocol; see docs/guides/evaluation.md."""

    targets: list[TargetConfig] = setting([], "data sets; their subjects must not be in pretraining")
    methods: list[str] = setting(
        [
            "majority",
            "zero_shot",
            "handcrafted_rf",
            "handcrafted_trees",
            "handcrafted_logistic",
            "handcrafted_mean",
            "random_frozen",
            "supervised",
            "knn",
            "linear_probe",
            "finetune",
            "hybrid_random",
            "hybrid_logistic",
            "hybrid_mean",
        ],
        "what is compared; METHOD+ADAPTATION adapts a method to the tested person, see docs/guides/evaluation.md",
    )
    shots: list[int] = setting([1, 5, 10, 20, 50, 100], "labelled windows per class")
    support_subjects: int = setting(0, "people whom these windows come from, drawn anew each time; 0 takes all")
    subject_shots: list[int] = setting([], "whole people labelled, instead of windows per class; empty: not done")
    draws: int = setting(10, "few-shot draws a fold", at_least=1)
    draw_seed: int = setting(0, "seed of the draws; not run.seed, so that runs are compared on the same draws")
    draws_trained: int = setting(3, "draws a fold for the methods that train an encoder per cell", at_least=1)
    shots_trained: list[int] = setting([], "labelled windows per class for these methods; empty takes 'shots'")
    folds: int = setting(0, "groups of subjects, tested in turn; 0: one subject at a time, 10 groups above 25")
    all_groupings: bool = setting(False, "cut subjects into 'folds' groups in every way, not in one: for few subjects")
    activities: list[str] = setting([], "only these; empty takes all")
    checkpoints: dict[str, list[str]] = setting({}, "other systems to compare: name -> checkpoints (one a seed)")
    ensembles: bool = setting(False, "also each named system's seeds together: the mean of their probabilities")
    external: dict[str, ExternalConfig] = setting(
        {}, "encoders of others, for method 'external': name -> {encoder: ..., weights: FILE.safetensors}"
    )
    perturbations: list[str] = setting([], "what is done to tested windows: 'rotation', 'noise=1', ...; see the docs")
    perturbations_shots: int = setting(0, "labelled windows per class for that; 0 takes the most")
    perturbations_draws: int = setting(2, "draws a fold for that", at_least=1)
    probe_c: float = setting(1.0, "inverse regularisation of the logistic probe", above=0)
    views: int = setting(8, "random views of each labelled window for methods with '+views'", at_least=1)
    logistic_c: float = setting(
        0.05, "inverse regularisation of the logistic on handcrafted features, and of the hybrids", above=0
    )
    balanced_towards: str = setting(
        "uniform",
        "+balanced: shares that each person's answers get, 'uniform' or those of the support subjects' 'pool'",
        choices=("uniform", "pool"),
    )
    personal_weight: int = setting(
        3, "+personal: how often each labelled window of the tested person counts", at_least=1
    )
    personal_gap_s: float = setting(
        10.0, "+personal: time between the person's labelled and tested windows of one recording", at_least=0
    )
    knn_neighbours: int = setting(10, "nearest labelled windows that vote, at most", at_least=1)
    forest_trees: int = setting(300, "trees of the random forest", at_least=1)
    finetune_epochs: int = setting(10, "epochs of fine-tuning")
    finetune_min_steps: int = setting(40, "its optimiser steps, at least: few labels make short epochs")
    finetune_encoder_lr: float = setting(1e-4, "learning rate of the encoder")
    finetune_head_lr: float = setting(1e-3, "learning rate of the classifier")
    finetune_rates: list[float] = setting([1e-6, 1e-5, 1e-4, 5e-4], "finetune_tuned: rates of the encoder to try")
    supervised_epochs: int = setting(20, "epochs of training from scratch")
    supervised_min_steps: int = setting(100, "its optimiser steps, at least")
    supervised_lr: float = setting(1e-3, "learning rate of training from scratch")
    transfer: SourceClassifierSettings = setting(
        SourceClassifierSettings(), "training of the encoder on labels of a target's 'sources'"
    )
    label_noise: list[float] = setting([], "shares of the labelled windows that get a wrong label, e.g. [0.1, 0.3]")
    bootstrap: int = setting(10_000, "resamples over subjects for the 95 % intervals")
    correction: str = setting(
        "holm",
        "of the planned comparisons' p: 'holm' or 'westfall_young'; choose before you look at results",
        choices=("holm", "westfall_young"),
    )
    map_windows: int = setting(1500, "windows in the embedding map; 0 draws none")
    audit: bool = setting(True, "look for duplicated windows and for labels that need no movement to be told")
    shift: bool = setting(True, "measure how far tested windows are from those that labels come from")
    allow_seen_subjects: bool = setting(False, "evaluate on pretraining subjects too; every table says so")
    allow_incomplete: bool = setting(False, "use checkpoints of trainings that were stopped, too; every table says so")
    allow_leaks: bool = setting(False, "go on where the audit finds a leak; every table says so")
    workers: int = setting(0, "cells computed, and figures drawn, side by side on processors; 0 takes one a core")
    scheduler: str = setting("", "tcp://host:port of a Dask scheduler, whose workers compute the cells; empty: here")

    def check(self) -> None:
        """Refuse a single group of subjects, which leaves nobody to learn from."""
        if self.folds < 0 or self.folds == 1:
            raise ValueError(f"folds: expected at least 2, or 0 for one subject at a time; found {self.folds}")
