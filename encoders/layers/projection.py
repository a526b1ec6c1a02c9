"""Projection head of the paper, used once per modality.

Shape legend: ... any leading axes, P input width, E width of the shared space.
"""

from __future__ import annotations

from torch import Tensor, nn

from encoders.layers.dropout import Dropout


class ProjectionHead(nn.Module):
    """``p = Linear(x)``, then ``LayerNorm(p + dropout(Linear(GELU(p))))``.

    Args:
        input_width: P.
        width: E, 512 in the paper.
        dropout: 0.1 in the paper.
    """

    def __init__(self, input_width: int, width: int = 512, dropout: float = 0.1) -> None:
        super().__init__()
        self.input = nn.Linear(input_width, width)
        self.hidden = nn.Linear(width, width)
        self.activation = nn.GELU()
        self.dropout = Dropout(dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Project (..., P) -> (..., E); the losses normalise the length."""
        p = self.input(x)
        return self.norm(p + self.dropout(self.hidden(self.activation(p))))  # type: ignore[no-any-return]
