from __future__ import annotations

import torch

from encoders.layers.projection import ProjectionHead


def test_equals_the_papers_formula() -> None:
    head = ProjectionHead(24, 16).eval()
    x = torch.randn(3, 5, 24)
    p = x @ head.input.weight.T + head.input.bias
    hidden = torch.nn.functional.gelu(p) @ head.hidden.weight.T + head.hidden.bias
    expected = torch.nn.functional.layer_norm(hidden + p, (16,))
    torch.testing.assert_close(head(x), expected, rtol=1e-5, atol=1e-5)


def test_drops_only_the_branch() -> None:
    head = ProjectionHead(8, 16, dropout=1.0).train()
    x = torch.randn(4, 8)
    torch.testing.assert_close(head(x), head.norm(head.input(x)))
