"""Names as prototypes: through the video head as still clips, and only where video encoder and text are halves of one
CLIP."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.fake_shards import ACTIVITIES, FakeShards
from helpers.made_cells import joined, make_cell, make_model
from torch.nn import functional as F

from datamodules.windows.cut import WindowSettings
from experiments.eval_ood import run as evaluate
from experiments.evaluation.methods import find_method
from experiments.evaluation.prototypes.text import NamedActivities, activities_of, embed_names, text_prototypes
from experiments.evaluation.prototypes.video import NoPrototypesError, build_prototypes
from experiments.evaluation.targets import Target
from experiments.pretrain import run as pretrain
from experiments.runtime.errors import UserError
from experiments.settings.evaluation import TargetConfig
from experiments.settings.schema import Config
from lightning_modules.pretraining import ImuPretraining

pytest.importorskip("open_clip")

from helpers.made_clip import VIT, MadeClip, make_clip

Make = Callable[..., Config]
WINDOW = WindowSettings(duration_s=2.0, imu_rate_hz=25.0, frames=4)
VIDEO_ENCODER: dict[str, Any] = {"video_encoder": {"name": "vit", "weights": "x", "fingerprint": "video encoder"}}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> MadeClip:
    return make_clip(tmp_path_factory.mktemp("clip"), "made-clip-of-experiments")


@pytest.fixture
def joint(tiny: Make, clip: MadeClip) -> Callable[..., Config]:
    """A function from overrides to the tiny experiment with a CLIP video encoder, and its text half."""

    def make(*overrides: str) -> Config:
        kwargs = ", ".join(f"{key}: {value}" for key, value in VIT.items())
        return tiny(
            "trainer.max_epochs=1",
            f"video_encoder.weights={clip.weights}",
            "video_encoder.params.model=vit_base_patch32_clip_224",
            f"video_encoder.params.kwargs={{{kwargs}}}",
            "video_encoder.params.pooling=joint",
            f"text_encoder.name={clip.name}",
            f"text_encoder.weights={clip.weights}",
            "evaluation.methods=[majority, zero_shot_text]",
            "evaluation.shots=[1]",
            "evaluation.draws=1",
            "evaluation.bootstrap=200",
            "evaluation.map_windows=0",
            "datasets.target.source.name=simulator",
            "datasets.target.source.params={subjects: 3, first_subject: 50, sessions_per_subject: 1, session_s: 60,"
            " placements: [head], cameras: []}",
            "datasets.target.placement=head",
            "evaluation.targets=[{name: others, dataset: target}]",
            *overrides,
        )

    return make


def named(names: list[str], embeddings: torch.Tensor) -> NamedActivities:
    return NamedActivities(names, embeddings, "video encoder", "digest")


def unit_rows(n: int, width: int) -> torch.Tensor:
    return F.normalize(torch.randn(n, width, generator=torch.Generator().manual_seed(3)), dim=1)


def test_a_name_is_a_clip_of_equal_frames() -> None:
    model = make_model(FakeShards(), **VIDEO_ENCODER)
    names, rows = ["walk", "sit", "a10", "a9"], unit_rows(4, 8)
    found = text_prototypes(model, named(names, rows), WINDOW)
    assert found.activities == names
    assert found.vectors.shape == (4, 16)
    assert np.linalg.norm(found.vectors, axis=1) == pytest.approx(np.ones(4), abs=1e-5)
    times = torch.tensor([[0.25, 0.75, 1.25, 1.75]])  # the centres of four parts of 2 s
    with torch.no_grad():
        expected = model.embed_video(rows[1].expand(1, 4, 8), times, torch.ones(1, 4, dtype=torch.bool))
    assert found.of(["sit"]) == pytest.approx(expected.numpy(), abs=1e-6)  # in a batch of another size
    assert found.windows == [0, 0, 0, 0]


def test_the_checkpoints_own_windows_count() -> None:
    rows = unit_rows(2, 8)
    plain = make_model(FakeShards(), **VIDEO_ENCODER)
    knows = make_model(FakeShards(), window=dataclasses.asdict(WINDOW), **VIDEO_ENCODER)
    other = dataclasses.replace(WINDOW, duration_s=8.0, frames=12)
    found = text_prototypes(knows, named(["a", "b"], rows), other)
    assert (found.vectors == text_prototypes(plain, named(["a", "b"], rows), WINDOW).vectors).all()
    without = text_prototypes(plain, named(["a", "b"], rows), other)
    assert np.abs(found.vectors - without.vectors).max() > 1e-4
    assert found.origin != without.origin


def test_another_video_encoder_is_refused() -> None:
    model = make_model(FakeShards(), video_encoder={"fingerprint": "abcdef"})
    with pytest.raises(
        NoPrototypesError, match=r"trained with video encoder abcdef.*but the settings give video encode"
    ):
        text_prototypes(model, named(["a"], unit_rows(1, 8)), WINDOW)


def features_that_hit(model: ImuPretraining, goals: torch.Tensor) -> torch.Tensor:
    """Frame features (A, D) whose still clips are embedded near ``goals`` (A, E)."""
    rows = unit_rows(len(goals), 8).requires_grad_()
    optimiser = torch.optim.Adam([rows], lr=0.05)
    times = ((torch.arange(4) + 0.5) / 2).repeat(len(goals), 1)
    for _ in range(300):
        optimiser.zero_grad()
        still = F.normalize(rows, dim=1)[:, None].repeat(1, 4, 1)
        loss = -(model.embed_video(still, times, torch.ones(len(goals), 4, dtype=torch.bool)) * goals).sum(1).mean()
        loss.backward()
        optimiser.step()
    return F.normalize(rows.detach(), dim=1)


def test_names_that_lie_where_their_pictures_do_score_as_the_pictures() -> None:
    shards = FakeShards()
    data, test, truth = make_cell(shards)
    model = data.features.model
    assert model is not None
    model.settings = dataclasses.replace(model.settings, **VIDEO_ENCODER)
    labels = shards.table["activity"]
    assert data.prototypes is not None
    hit = features_that_hit(model, torch.from_numpy(data.prototypes.of(ACTIVITIES)))
    by_name = dict(zip(ACTIVITIES, hit.numpy(), strict=True))

    class Clips:
        """Every frame of a clip shows its activity, as it is to the text."""

        def read(self, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            values = np.stack([by_name[str(labels[w])] for w in windows])[:, None].repeat(4, axis=1)
            times = np.tile(((np.arange(4) + 0.5) / 2).astype(np.float32), (len(windows), 1))
            return values, times, np.ones((len(windows), 4), bool)

    target = build_prototypes(model, shards, Clips())  # type: ignore[arg-type]
    text = text_prototypes(model, named(list(ACTIVITIES), hit), WINDOW)
    scores = {}
    for name, prototypes in (("zero_shot_target", target), ("zero_shot_text", text)):
        predict = find_method(name).fit(dataclasses.replace(data, prototypes=prototypes))
        scores[name] = predict(data.features, test)
    # Means of equal unit vectors: float32 rounding, of probabilities.
    assert scores["zero_shot_text"] == pytest.approx(scores["zero_shot_target"], abs=1e-4)
    accuracy = {name: (values.argmax(axis=1) == truth).mean() for name, values in scores.items()}
    assert accuracy["zero_shot_text"] == accuracy["zero_shot_target"] >= 0.85
    moved = text_prototypes(model, named(list(ACTIVITIES), hit.roll(1, dims=0)), WINDOW)
    wrong = find_method("zero_shot_text").fit(dataclasses.replace(data, prototypes=moved))(data.features, test)
    assert (wrong.argmax(axis=1) == truth).mean() < 0.25


def test_names_are_those_of_all_targets() -> None:
    first, second = FakeShards(activities=("walk", "a10", "a9")), FakeShards(activities=("sit", "walk"))
    first.table["activity"][0] = ""  # without a label
    targets = [Target(TargetConfig("x", "fake"), joined(shards)) for shards in (first, second)]
    assert activities_of(targets) == ["a9", "a10", "sit", "walk"]


def test_the_origin_follows_names_and_text_weights(
    joint: Callable[..., Config], clip: MadeClip, tmp_path: Path
) -> None:
    found = embed_names(joint(), ["walk", "sit"])
    assert found.names == ["walk", "sit"]
    assert found.embeddings.shape == (2, 24)
    assert found.origin == embed_names(joint(), ["walk", "sit"]).origin
    assert found.origin != embed_names(joint(), ["walk", "sit_down"]).origin
    state = clip.model.state_dict()
    state["token_embedding.weight"] = state["token_embedding.weight"] + 0.01
    torch.save(state, tmp_path / "other.pt")
    other = embed_names(joint(f"text_encoder.weights={tmp_path / 'other.pt'}"), ["walk", "sit"])
    assert other.origin != found.origin
    assert other.video_encoder == found.video_encoder


def test_a_video_encoder_in_bfloat16_is_known_by_its_float32(joint: Callable[..., Config]) -> None:
    low = embed_names(joint("video_encoder.params.precision=bfloat16"), ["walk"])
    assert low.video_encoder != embed_names(joint(), ["walk"]).video_encoder


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["video_encoder.params.pooling=grid"], r"pooling grid\) has no space that it shares with text.*pooling=joint"),
        (["video_encoder.weights=self_supervised"], r"weights self_supervised.*video_encoder\.weights=pretrained"),
        (["text_encoder.name=''"], r"set text_encoder\.name .*text_encoder\.weights"),
        (["text_encoder.weights=no/such.pt"], "text_encoder: there is no weights file"),
        (["text_encoder.weights=random"], "text_encoder: .*embed the same picture differently"),
        (["video_encoder.weights=no/such.safetensors"], "video_encoder: there is no weights file"),
        (["video_encoder.params.frame_size=64"], "video_encoder: .*set the latter only"),
    ],
)
def test_what_is_missing_is_said(joint: Callable[..., Config], overrides: list[str], message: str) -> None:
    with pytest.raises(NoPrototypesError, match=message):
        embed_names(joint(*overrides), ["walk"])


def test_weights_that_have_no_joint_space_are_refused_before_they_are_trained(joint: Callable[..., Config]) -> None:
    with pytest.raises(UserError, match="pooling 'joint' is the image embedding of a CLIP model"):
        pretrain(joint("video_encoder.weights=self_supervised"))


@pytest.mark.slow
def test_from_pretraining_to_the_table(joint: Callable[..., Config]) -> None:
    pretrain(joint())
    csv = evaluate(joint())
    frame = pd.read_csv(csv, keep_default_na=False)
    assert set(frame.method) == {"majority", "zero_shot_text"}
    assert frame[frame.method == "zero_shot_text"].value.between(0, 10).all()
    # Another video encoder than that of the checkpoint, or none in CLIP's space: left out, and said.
    csv = evaluate(joint("video_encoder.params.pooling=grid"))
    assert set(pd.read_csv(csv, keep_default_na=False).method) == {"majority"}
    assert "left out: zero_shot_text (the video encoder (vit" in (csv.parent / "results.md").read_text()
