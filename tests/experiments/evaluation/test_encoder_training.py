"""Trainings of a cell in other processes: the same weights to the last bit, and an end without waiting."""

from __future__ import annotations

import dataclasses
import importlib
import sys
import threading
import time

import pytest
import torch
from helpers.fake_shards import FakeShards
from helpers.made_cells import make_cell, make_config, make_model
from helpers.made_protocol import run

from encoders.layers.dropout import draw_as_torch
from encoders.registry import IMU_ENCODERS
from experiments.evaluation import encoder_training, protocol
from experiments.evaluation.encoder_training import EncoderState
from experiments.evaluation.errors import EvaluationError
from experiments.evaluation.methods import find_method
from experiments.evaluation.worker_pool import kill_workers, run_in_pool, worker_pool
from lightning_modules.monitoring.finite import NonFiniteError


# The probe that fine-tuning starts with is of features that this process computes, on its own number of threads.
@pytest.mark.parametrize(("threads", "methods"), [(1, ["supervised", "finetune"]), (2, ["supervised"])])
def test_cells_are_the_same_in_any_process_and_with_any_number_of_threads(
    threads: int, methods: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = FakeShards()
    model = make_model(shards)
    config = make_config(methods=methods, shots=[1, 3], draws_trained=1, supervised_min_steps=10, finetune_min_steps=5)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        config.evaluation.workers = 1
        one_by_one = run(config, shards, model)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    monkeypatch.setattr(protocol, "TRAININGS_WORTH_IT", 2)
    config.evaluation.workers = 2
    side_by_side = run(config, shards, model)
    assert len(one_by_one) == 4 * len(methods)  # two folds, two numbers of labels
    for one, other in zip(one_by_one, side_by_side, strict=True):
        assert dataclasses.replace(one, seconds=0) == dataclasses.replace(other, seconds=0)


def test_a_mean_trains_nothing_again_that_another_method_has_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    from experiments.evaluation.methods import trained

    made = []
    train = encoder_training.train_encoder
    monkeypatch.setattr(trained, "train_encoder", lambda training: made.append(training) or train(training))
    data, test, _ = make_cell(FakeShards())
    alone = find_method("supervised").fit(data)(data.features, test)
    mean = find_method("finetune_mean").fit(data)(data.features, test)
    assert len(made) == 2  # from scratch once, and the fine-tuning
    again = find_method("supervised").fit(data)(data.features, test)
    assert len(made) == 2
    assert (again == alone).all()
    assert not (mean == alone).all()


def test_an_encoder_goes_to_another_process_as_it_is() -> None:
    data, _, _ = make_cell(FakeShards())
    spec = data.features.spec
    encoder = spec.build(3)
    draw_as_torch(encoder)
    state = EncoderState.of(spec, encoder.eval())
    built = state.build()
    assert isinstance(built, type(encoder))
    assert not built.training
    assert all(part.as_torch for part in built.modules() if hasattr(part, "as_torch"))
    encoder.train()
    assert EncoderState.of(spec, encoder).build().training


def _kind(state: EncoderState) -> str:
    return type(state.build()).__name__


def test_an_encoder_that_only_this_process_has_imported_is_found() -> None:
    importlib.import_module("helpers.own_encoder")
    try:
        data, _, _ = make_cell(FakeShards())
        spec = dataclasses.replace(data.features.spec, name="own")
        state = EncoderState.of(spec, spec.build(0))
        with worker_pool(2):
            assert run_in_pool(_kind, state) == "OwnEncoder"
    finally:
        IMU_ENCODERS.remove("own")
        del sys.modules["helpers.own_encoder"]


def test_a_loss_that_is_not_finite_is_told_by_the_other_process() -> None:
    data, _, _ = make_cell(FakeShards())
    data.config.evaluation.supervised_lr = 1e30
    with worker_pool(2), pytest.raises(NonFiniteError, match="loss"):
        find_method("supervised").fit(data)


def test_killed_workers_keep_nobody_waiting() -> None:
    ended: list[BaseException] = []

    def wait() -> None:
        try:
            run_in_pool(time.sleep, 600)
        except EvaluationError as error:
            ended.append(error)

    started = time.monotonic()
    with worker_pool(2):
        run_in_pool(int)  # the pool is there
        waiting = threading.Thread(target=wait)
        waiting.start()
        time.sleep(0.5)
        kill_workers()
        waiting.join(30)
    assert time.monotonic() - started < 60
    assert "a worker process died" in str(ended[0])
    kill_workers()  # without a pool there is nobody to kill
