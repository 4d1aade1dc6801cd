"""Networks that tell a text's class: the mean of its tokens and token pairs, or a transformer over them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.configs.text_models import TextClassifierConfig
from trainer.models.transformer import Block, RMSNorm, initialize, narrowed, rotary_tables

_PAIR_MULTIPLIER = 1_000_003
"""A prime above any vocabulary, so that pairs spread over all rows of their table."""


class TextClassifier(nn.Module):
    """Tokens, padded behind, to scores of classes."""

    def __init__(
        self, config: TextClassifierConfig, vocabulary_size: int, num_classes: int, padding: int
    ) -> None:
        super().__init__()
        self.config = config
        self.padding = padding
        self.embedding = nn.Embedding(vocabulary_size, config.width)
        self.pairs = nn.Embedding(config.pair_buckets, config.width) if config.pair_buckets else None
        self.blocks = nn.ModuleList(
            Block(config.width, config.num_heads, dropout=config.dropout, causal=False)
            for _ in range(config.num_layers)
        )
        self.norm = RMSNorm(config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.hidden = nn.Linear(config.width, config.width, bias=False)
        self.scores = nn.Linear(config.width, num_classes)
        cosine, sine = rotary_tables(config.context, config.width // config.num_heads)
        self.register_buffer("cosine", cosine, persistent=False)
        self.register_buffer("sine", sine, persistent=False)
        initialize(self, max(config.num_layers, 1))
        nn.init.zeros_(self.scores.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the scores [n, classes] of tokens [n, length], of which the last may be padding."""
        assert isinstance(self.cosine, Tensor) and isinstance(self.sine, Tensor)
        there = tokens != self.padding
        x = narrowed(self.embedding(tokens))
        if self.pairs is not None:
            x = x + self._pair_numbers(tokens, there)
        x = self.dropout(x)
        rotary = self.cosine[: tokens.shape[1]], self.sine[: tokens.shape[1]]
        # A text of no tokens looks at its padding: attention over nothing is no number.
        seen = there | ~there.any(dim=1, keepdim=True)
        for block in self.blocks:
            x = block(x, rotary, seen[:, None, None, :])
        weight = there.unsqueeze(2).to(x.dtype)
        mean = (x * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
        scores: Tensor = self.scores(functional.gelu(self.hidden(self.dropout(self.norm(mean)))))
        return scores

    def _pair_numbers(self, tokens: Tensor, there: Tensor) -> Tensor:
        """Return the numbers [n, length, width] of each token with the one after it; none for the last."""
        assert self.pairs is not None
        after = torch.roll(tokens, -1, dims=1)
        both = there & torch.roll(there, -1, dims=1)
        both = torch.cat((both[:, :-1], torch.zeros_like(both[:, :1])), dim=1)
        rows = (tokens * _PAIR_MULTIPLIER + after) % self.pairs.num_embeddings
        return narrowed(self.pairs(rows)) * both.unsqueeze(2)
