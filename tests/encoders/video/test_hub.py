"""The hub is asked once; where it can't be reached, its cache is read, and nothing is said about retries."""

from __future__ import annotations

import logging

import huggingface_hub
import pytest
from huggingface_hub import constants

from encoders.video import hub as module
from encoders.video.hub import hub_or_cache
from encoders.video.vit_backbone import BackboneParams, create_backbone
from encoders.weights import WeightsError


class Silent:
    """A client without a network."""

    asked = 0

    def head(self, address: str, timeout: float) -> None:
        Silent.asked += 1
        raise OSError(f"no route to {address} within {timeout:g} s")


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "get_session", Silent)
    Silent.asked = 0


def test_without_a_network_the_cache_alone_is_read(unreachable: None) -> None:
    before = constants.HF_HUB_OFFLINE, logging.getLogger("huggingface_hub").level
    with hub_or_cache() as hub:
        assert not hub.reached
        assert constants.HF_HUB_OFFLINE
        assert hub.why(ValueError("x\ny")) == f"not in the cache, and {constants.ENDPOINT} can't be reached"
    assert (constants.HF_HUB_OFFLINE, logging.getLogger("huggingface_hub").level) == before


def test_with_a_network_its_own_reason_is_given_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_answers", lambda address: True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with hub_or_cache() as hub:
        assert not constants.HF_HUB_OFFLINE
        assert hub.why(ValueError("no such model\nsee https://...")) == "ValueError: no such model"


def test_who_asked_for_no_network_gets_none(unreachable: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with hub_or_cache() as hub:
        assert not hub.reached
    assert constants.HF_HUB_OFFLINE
    assert Silent.asked == 0


def test_missing_weights_are_one_line_and_no_retries(
    unreachable: None,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path_factory.mktemp("cache")))
    with pytest.raises(
        WeightsError, match=r"could not be loaded \(not in the cache, and .* can't be reached\)"
    ) as error:
        create_backbone(BackboneParams("vit_base_patch32_clip_224.openai", frame_size=224), pretrained=True)
    assert "\n" not in str(error.value)
    assert Silent.asked == 1
    assert not [record for record in caplog.records if "Retrying" in record.getMessage()]
