"""Weights of encoders from files of others: safetensors, never pickle."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from torch import Tensor, nn

from core.errors import MendableError
from core.room import out_of_files
from core.suggestions import did_you_mean


class WeightsError(MendableError, RuntimeError):
    """Weights are unavailable or don't fit; the message names the remedy."""


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors and the texts of a safetensors file.

    Raises:
        OSError: it can't be opened; a lack of descriptors is this too, and says nothing about the file.
        SafetensorError: it is damaged.
    """
    from safetensors import SafetensorError, safe_open

    with path.open("rb"):  # safetensors calls every file that it can't open missing
        pass
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, RuntimeError) as error:  # torch's, which opens the file a second time
        if out_of_files(error):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path)) from error
        raise


def load_weights(encoder: nn.Module, path: Path) -> list[str]:
    """Load an encoder's weights from a safetensors file with the same names and shapes.

    Args:
        encoder: gets the weights.
        path: the file; it may hold other entries too, such as a head of its pretraining.

    Returns:
        Names of the file's entries that are none of the encoder's.

    Raises:
        WeightsError: there is no such file, it is no safetensors file, or lacks a weight of the encoder's shape.
    """
    from safetensors import SafetensorError

    if not path.is_file():
        raise WeightsError(f"no file '{path}'; expected an encoder's weights as safetensors")
    try:
        found, _ = read_safetensors(path)
    except SafetensorError as error:
        raise WeightsError(f"{path}: not a safetensors file: {error}") from error
    expected = encoder.state_dict()
    for name, weight in expected.items():
        if name not in found:
            raise WeightsError(f"{path}: no entry '{name}' of the encoder{did_you_mean(name, found)}")
        if found[name].shape != weight.shape:
            raise WeightsError(
                f"{path}: '{name}' has shape {tuple(found[name].shape)}; expected {tuple(weight.shape)}: are these the"
                " encoder's settings?"
            )
    encoder.load_state_dict({name: found[name] for name in expected})
    return sorted(found.keys() - expected.keys())
