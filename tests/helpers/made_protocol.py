"""The protocol on made-up windows, with results kept in memory."""

from __future__ import annotations

from typing import Any

from helpers.fake_shards import FakeShards
from helpers.made_cells import joined

from experiments.evaluation.cells import Cell, CellResult
from experiments.evaluation.protocol import run_protocol
from experiments.evaluation.prototypes.video import Prototypes
from experiments.evaluation.targets import System, Target
from experiments.settings.evaluation import TargetConfig
from experiments.settings.schema import Config
from lightning_modules.pretraining import ImuPretraining


def run(
    config: Config,
    shards: FakeShards,
    model: ImuPretraining | None = None,
    prototypes: Prototypes | None = None,
    store: dict[str, CellResult] | None = None,
    digest: str = "abc",
    **target: Any,
) -> list[CellResult]:
    kept = {} if store is None else store

    def load(cell: Cell) -> CellResult | None:
        return kept.get(cell.key)

    def save(result: CellResult) -> None:
        assert result.cell.key not in kept
        kept[result.cell.key] = CellResult.from_json(result.to_json())

    system = System("", model, digest if model else "", {"source": prototypes} if prototypes else {})
    return run_protocol(config, [make_target(shards, **target)], [system], load, save, lambda *_: None)


def make_target(shards: FakeShards, **settings: Any) -> Target:
    return Target(TargetConfig("fake", "fake", **settings), joined(shards))
