"""A decoder-only transformer (GPT) with rotary positions, RMS norm and a tied output layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.model_configs import GPTConfig

_INITIAL_STD = 0.02
"""Standard deviation of the first weights, as in GPT-2."""
_ROTARY_BASE = 10_000.0
"""Longest wavelength of the rotary positions: Su et al., RoFormer, arXiv 2104.09864."""


class GPT(nn.Module):
    """Token embedding, blocks of attention and feed-forward, next-token scores."""

    def __init__(self, config: GPTConfig, vocabulary_size: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(vocabulary_size, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.norm = nn.RMSNorm(config.width)
        self.dropout = nn.Dropout(config.dropout)
        cosine, sine = rotary_tables(config.context, config.width // config.num_heads)
        self.register_buffer("cosine", cosine, persistent=False)
        self.register_buffer("sine", sine, persistent=False)
        self.apply(self._initialize)

    def _initialize(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=_INITIAL_STD)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the scores [n, length, vocabulary] of the token after each of tokens [n, length]."""
        length = tokens.shape[1]
        assert isinstance(self.cosine, Tensor) and isinstance(self.sine, Tensor)
        rotary = self.cosine[:length], self.sine[:length]
        x = self.dropout(self.embedding(tokens))
        for block in self.blocks:
            x = block(x, rotary)
        # The output layer is the embedding itself; a second name for it would make safetensors refuse.
        return functional.linear(self.norm(x), self.embedding.weight)

    @torch.no_grad()
    def generate(self, tokens: Tensor, count: int, temperature: float, generator: torch.Generator) -> Tensor:
        """Return tokens [1, length] followed by `count` tokens drawn from the model's own predictions."""
        for _ in range(count):
            scores = self(tokens[:, -self.config.context :])[:, -1] / temperature
            drawn = torch.multinomial(functional.softmax(scores, dim=-1), 1, generator=generator)
            tokens = torch.cat((tokens, drawn), dim=1)
        return tokens


class Block(nn.Module):
    """One layer: causal self-attention, then a feed-forward network, each added to what came in."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.dropout = config.dropout
        self.attention_norm = nn.RMSNorm(config.width)
        self.query_key_value = nn.Linear(config.width, 3 * config.width, bias=False)
        self.attention_out = nn.Linear(config.width, config.width, bias=False)
        self.feed_forward_norm = nn.RMSNorm(config.width)
        self.feed_forward_in = nn.Linear(config.width, 4 * config.width, bias=False)
        self.feed_forward_out = nn.Linear(4 * config.width, config.width, bias=False)

    def forward(self, x: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
        """Return the block's output [n, length, width] for x of that shape."""
        x = x + self._drop(self._attention(self.attention_norm(x), rotary))
        hidden = functional.gelu(self.feed_forward_in(self.feed_forward_norm(x)), approximate="tanh")
        return x + self._drop(self.feed_forward_out(hidden))

    def _attention(self, x: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
        size, length, width = x.shape
        heads = self.query_key_value(x).view(size, length, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = heads.unbind(0)
        mixed = functional.scaled_dot_product_attention(
            rotate(query, rotary), rotate(key, rotary), value, is_causal=True
        )
        out: Tensor = self.attention_out(mixed.transpose(1, 2).reshape(size, length, width))
        return out

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training)


def rotary_tables(length: int, head_width: int) -> tuple[Tensor, Tensor]:
    """Return the cosines and sines [length, head_width // 2] of each position's rotation."""
    frequencies = _ROTARY_BASE ** (-torch.arange(0, head_width // 2) / max(head_width // 2, 1))
    angles = torch.outer(torch.arange(length), frequencies)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    """Return x [n, heads, length, head_width] with each half-pair turned by its position's angle."""
    cosine, sine = (table.to(x.dtype) for table in rotary)
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, first * sine + second * cosine), dim=-1)
