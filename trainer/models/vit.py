"""A vision transformer: patches as tokens, learned positions, the mean of the patches as the answer.

A. Dosovitskiy et al., arXiv 2010.11929, with the mean of L. Beyer et al., arXiv 2205.01580. On a grid of 4 x
4 patches fixed sine positions learned several times more slowly.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.configs.picture_models import LARGE_FROM, VIT_SIZES, ViTConfig
from trainer.configs.settings import ConfigError


class ViT(nn.Module):
    """Patch embedding, blocks of attention and feed-forward, class scores.

    Raises ConfigError where patches do not fill the picture.
    """

    def __init__(self, config: ViTConfig, picture: tuple[int, int, int], num_classes: int) -> None:
        """Build it for pictures of (channels, height, width)."""
        super().__init__()
        channels, height, width_in = picture
        patch = patch_size(config, height, width_in)
        num_layers, width, num_heads = VIT_SIZES[config.size]
        self.patches = nn.Conv2d(channels, width, patch, stride=patch)
        num_patches = (height // patch) * (width_in // patch)
        self.positions = nn.Parameter(torch.empty(num_patches, width))
        self.blocks = nn.ModuleList(Block(width, num_heads) for _ in range(num_layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, num_classes)
        self.apply(_initialize)
        # Patches and positions are about as large, or one would drown the other.
        nn.init.normal_(self.patches.weight, std=(channels * patch**2) ** -0.5)
        nn.init.normal_(self.positions, std=0.5)
        nn.init.normal_(self.head.weight, std=0.02)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the class scores [n, classes] of pictures [n, channels, height, width]."""
        # Pixels from 0 to 1 become numbers about 0.
        x = self.patches((pictures - 0.5) / 0.25).flatten(2).transpose(1, 2)
        x = x + self.positions
        for block in self.blocks:
            x = block(x)
        scores: Tensor = self.head(self.norm(x).mean(dim=1))
        return scores


class Block(nn.Module):
    """One layer: self-attention, then a feed-forward network, each added to what came in."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.feed_forward_in = nn.Linear(width, 4 * width)
        self.feed_forward_out = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output [n, patches, width] for x of that shape."""
        x = x + self._attention(self.attention_norm(x))
        hidden = functional.gelu(self.feed_forward_in(self.feed_forward_norm(x)))
        added: Tensor = self.feed_forward_out(hidden)
        return x + added

    def _attention(self, x: Tensor) -> Tensor:
        _, length, width = x.shape
        heads = self.query_key_value(x).view(-1, length, 3, self.num_heads, width // self.num_heads)
        query, key, value = heads.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.attention_out(mixed.transpose(1, 2).flatten(2))
        return out


def patch_size(config: ViTConfig, height: int, width: int) -> int:
    """Return the pixels of a patch's side; raises ConfigError where such patches do not fill the picture."""
    shorter = min(height, width)
    automatic = 16 if shorter >= LARGE_FROM else max(1, shorter // 8)
    patch = automatic if config.patch == "auto" else config.patch
    if height % patch or width % patch:
        raise ConfigError(
            [f"model.patch: patches of {patch} x {patch} do not fill pictures of {height} x {width}: "
             "choose a divisor of both sides, or another picture size"]
        )  # fmt: skip
    return patch


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)  # as in the paper's own code
        assert module.bias is not None
        nn.init.zeros_(module.bias)
