"""The block of the bundled transformers: attention with rotary positions, then a feed-forward network."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

FeedForward = Literal["gelu", "relu2", "swiglu"]

INITIAL_STD = 0.02
"""Standard deviation of the first weights, as in GPT-2."""
_ROTARY_BASE = 10_000.0
"""Longest wavelength of the rotary positions: Su et al., RoFormer, arXiv 2104.09864."""


@dataclass
class KeyValueCache:
    """The keys and values [n, heads, length, head_width] of the tokens that a block has seen so far."""

    parts: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def extend(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add new tokens' keys and values; return those of all tokens."""
        if self.parts:
            before_key, before_value = self.parts[0]
            key, value = torch.cat((before_key, key), dim=2), torch.cat((before_value, value), dim=2)
        self.parts = [(key, value)]
        return key, value


class RMSNorm(nn.RMSNorm):
    """Numbers over their root mean square, times weights of the same format: else no fused kernel runs."""

    def __init__(self, width: int) -> None:
        # The default follows the numbers' format, and bfloat16's is as large as the numbers themselves.
        super().__init__(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised numbers, of x's shape and format."""
        return functional.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)


class Block(nn.Module):
    """One layer: self-attention, then a feed-forward network, each added to what came in."""

    def __init__(
        self,
        width: int,
        num_heads: int,
        *,
        feed_forward: FeedForward = "gelu",
        dropout: float = 0.0,
        causal: bool = True,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.feed_forward = feed_forward
        self.dropout = dropout
        self.causal = causal
        hidden = hidden_width(width, feed_forward)
        self.attention_norm = RMSNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.feed_forward_norm = RMSNorm(width)
        # The gate of a SwiGLU is made by the same matrix product as what it gates.
        gates = hidden if feed_forward == "swiglu" else 0
        self.feed_forward_in = nn.Linear(width, hidden + gates, bias=False)
        self.feed_forward_out = nn.Linear(hidden, width, bias=False)

    def forward(
        self,
        x: Tensor,
        rotary: tuple[Tensor, Tensor],
        mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Return the block's output [n, length, width] for x of that shape.

        `rotary` are the tables of x's positions. `mask` [n, 1, 1, length] is true where there is a token.
        """
        x = x + self._drop(self._attention(self.attention_norm(x), rotary, mask, cache))
        hidden = self._activate(self.feed_forward_in(self.feed_forward_norm(x)))
        return x + self._drop(self.feed_forward_out(hidden))

    def _attention(
        self, x: Tensor, rotary: tuple[Tensor, Tensor], mask: Tensor | None, cache: KeyValueCache | None
    ) -> Tensor:
        size, length, width = x.shape
        heads = self.query_key_value(x).view(size, length, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = heads.unbind(0)
        query, key = rotate(query, rotary), rotate(key, rotary)
        if cache is not None:
            key, value = cache.extend(key, value)
        # One new token behind a cache may look at all of it.
        causal = self.causal and length > 1
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=causal)
        out: Tensor = self.attention_out(mixed.transpose(1, 2).reshape(size, length, width))
        return out

    def _activate(self, hidden: Tensor) -> Tensor:
        if self.feed_forward == "relu2":
            return functional.relu(hidden).square()
        if self.feed_forward == "swiglu":
            gate, value = hidden.chunk(2, dim=-1)
            return functional.silu(gate) * value
        return functional.gelu(hidden, approximate="tanh")

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training) if self.dropout else x


def hidden_width(width: int, feed_forward: FeedForward) -> int:
    """Return the numbers inside a feed-forward: four times the width, or as many weights with a gate."""
    if feed_forward != "swiglu":
        return 4 * width
    return -(-8 * width // 3 // 64) * 64 if width >= 64 else -(-8 * width // 3)


def initialize(model: nn.Module, num_layers: int) -> None:
    """Draw the first weights; those that end a branch smaller, by the square root of how many are added up.

    Radford et al. 2019, section 2.3.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            ends_a_branch = name.endswith(("attention_out", "feed_forward_out"))
            std = INITIAL_STD / math.sqrt(2 * num_layers) if ends_a_branch else INITIAL_STD
            nn.init.normal_(module.weight, std=std)


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


def narrowed(x: Tensor) -> Tensor:
    """Return x in autocast's number format where autocast is on.

    What blocks add up is then half as many bytes to move; torch keeps an embedding's output as it is.
    """
    # Operations are counted on the meta device, which autocast does not know.
    if not x.is_meta and torch.is_autocast_enabled(x.device.type):
        return x.to(torch.get_autocast_dtype(x.device.type))
    return x
