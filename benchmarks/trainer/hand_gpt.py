"""A GPT as one would write it by hand: the model under the bare loops that the trainer is measured against.

The shape of GPT-2: learned positions, layer norm before each part, GELU, the output tied to the embedding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Shape:
    """How large the model is."""

    layers: int
    heads: int
    width: int
    context: int
    vocabulary: int


TINY = Shape(layers=2, heads=4, width=32, context=64, vocabulary=256)
"""About 0.04 million parameters: the step is short, so what surrounds it shows."""
HEAVY = Shape(layers=4, heads=4, width=256, context=128, vocabulary=512)
"""About 3.3 million: the step is nearly all arithmetic."""
MEDIUM = Shape(layers=7, heads=8, width=512, context=64, vocabulary=5000)
"""About 25 million: with AdamW's moments 300 MB of state."""
GPT2 = Shape(layers=12, heads=12, width=768, context=1024, vocabulary=50304)
"""124 million, the vocabulary rounded up to a multiple of 128."""


class Block(nn.Module):
    """Causal attention, then the feed-forward network."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.norm_1 = nn.LayerNorm(shape.width)
        self.qkv = nn.Linear(shape.width, 3 * shape.width)
        self.out = nn.Linear(shape.width, shape.width)
        self.norm_2 = nn.LayerNorm(shape.width)
        self.up = nn.Linear(shape.width, 4 * shape.width)
        self.down = nn.Linear(4 * shape.width, shape.width)

    def forward(self, x: Tensor) -> Tensor:
        """Return [n, length, width] for [n, length, width]."""
        size, length, width = x.shape
        q, k, v = self.qkv(self.norm_1(x)).split(width, dim=2)
        q, k, v = (each.view(size, length, self.heads, -1).transpose(1, 2) for each in (q, k, v))
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(size, length, width))
        return x + self.down(functional.gelu(self.up(self.norm_2(x)), approximate="tanh"))


class HandGPT(nn.Module):
    """Tokens to the loss of predicting the next one."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.positions = nn.Embedding(shape.context, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width)
        for parameter in self.parameters():
            if parameter.dim() >= 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross-entropy of targets [n, length] after inputs [n, length]."""
        x = self.tokens(inputs) + self.positions(torch.arange(inputs.shape[1], device=inputs.device))
        for block in self.blocks:
            x = block(x)
        logits = functional.linear(self.norm(x), self.tokens.weight)
        return functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten())
