"""A network for rows of a table: categories embedded, numbers standardised, several members averaged.

The members share all large matrices and differ in a scale of the input and in their last layer, as the
"mini" kind of TabM does: Y. Gorishniy et al., arXiv 2410.24210.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.configs.table_models import MLPConfig

_FREQUENCY_STD = 0.3
"""Standard deviation of the first frequencies; Y. Gorishniy et al., arXiv 2203.05556, tune it by data set."""


class TableMLP(nn.Module):
    """Columns to a vector, residual layers, one answer a member."""

    def __init__(
        self, config: MLPConfig, num_numbers: int, category_sizes: Sequence[int], num_outputs: int
    ) -> None:
        """Build it for so many numbers, categories of so many codes each, and scores (1 for a number)."""
        super().__init__()
        self.config = config
        self.embeddings = nn.ModuleList(_embedding(size) for size in category_sizes)
        self.frequencies = (
            nn.Parameter(torch.randn(num_numbers, config.frequencies) * _FREQUENCY_STD)
            if config.frequencies and num_numbers
            else None
        )
        # Each number comes with a mark where it is missing, and with its waves.
        width_in = num_numbers * (2 + 2 * config.frequencies)
        width_in += sum(embedding_width(size) for size in category_sizes)
        # Random signs tell the members apart from the start, as in arXiv 2410.24210.
        self.scales = nn.Parameter(torch.randint(0, 2, (config.members, width_in)).float() * 2 - 1)
        self.stem = nn.Linear(width_in, config.width)
        self.layers = nn.ModuleList(
            nn.Linear(config.width, config.width) for _ in range(2 * config.num_blocks)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(config.width) for _ in range(config.num_blocks + 1))
        self.head = nn.Parameter(
            torch.empty(config.members, config.width, num_outputs).uniform_(-1, 1) / math.sqrt(config.width)
        )
        self.head_bias = nn.Parameter(torch.zeros(config.members, num_outputs))

    def forward(self, numbers: Tensor, categories: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return each member's scores [n, members, outputs].

        `numbers` [n, N] are standardised, NaN where missing; `categories` [n, C] are codes, 0 for unknown or
        missing; `noise` [n, num_blocks x width] of -1 to 1 decides in training what is dropped.
        """
        x = self.stem(self._columns(numbers, categories)[:, None] * self.scales)
        for number, norm in enumerate(self.norms[:-1]):
            hidden = functional.relu(self.layers[2 * number](norm(x)))
            x = x + self.layers[2 * number + 1](self._drop(hidden, noise, number))
        x = functional.relu(self.norms[-1](x))
        return torch.einsum("nmw,mwo->nmo", x, self.head.to(x.dtype)) + self.head_bias

    def _columns(self, numbers: Tensor, categories: Tensor) -> Tensor:
        missing = numbers.isnan()
        numbers = torch.where(missing, 0.0, numbers)
        parts = [numbers, missing.to(numbers.dtype)]
        if self.frequencies is not None:
            angles = 2 * math.pi * numbers[:, :, None] * self.frequencies
            parts += [angles.sin().flatten(1), angles.cos().flatten(1)]
        parts += [embedding(categories[:, number]) for number, embedding in enumerate(self.embeddings)]
        return torch.cat(parts, dim=1)

    def _drop(self, hidden: Tensor, noise: Tensor | None, block: int) -> Tensor:
        """Return what is left of hidden [n, members, width] when each row's noise has taken its part."""
        if noise is None or not self.config.dropout:
            return hidden
        width = self.config.width
        kept = noise[:, None, block * width : (block + 1) * width] >= 2 * self.config.dropout - 1
        return hidden * kept / (1 - self.config.dropout)


def noise_width(config: MLPConfig) -> int:
    """Return the random numbers that a training row needs for its dropout."""
    return config.num_blocks * config.width if config.dropout else 0


def embedding_width(num_codes: int) -> int:
    """Return the numbers that stand for a category: the fourth root of its codes times 4, at most 64."""
    return min(64, math.ceil(4 * math.sqrt(math.sqrt(num_codes))))


def _embedding(num_codes: int) -> nn.Embedding:
    embedding = nn.Embedding(num_codes, embedding_width(num_codes))
    nn.init.normal_(embedding.weight, std=0.3)
    # Code 0 is the unknown category: where training has none, it stays a neutral zero.
    nn.init.zeros_(embedding.weight[0])
    return embedding
