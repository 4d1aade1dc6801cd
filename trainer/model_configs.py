"""What the bundled models can be asked to be: one frozen class a kind of model, each field in range."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class DigitsCNNConfig:
    """A small convolutional network that classifies 8 x 8 pictures of digits."""

    kind: Literal["digits_cnn"] = "digits_cnn"
    channels: int = 64
    """Channels of the middle layers; a multiple of 8. Time grows with its square."""

    def faults(self) -> Iterator[str]:
        """Yield each value that is out of its range."""
        if self.channels < 8 or self.channels % 8:
            yield f"model.channels: {self.channels} is not a positive multiple of 8"


@dataclass(frozen=True, kw_only=True)
class GPTConfig:
    """A decoder-only transformer that predicts the next character."""

    kind: Literal["gpt"] = "gpt"
    context: int = 128
    """Characters that a prediction can look back on, itself included; the length of a training sample."""
    num_layers: int = 4
    """Transformer blocks."""
    num_heads: int = 4
    """Attention heads of a block."""
    width: int = 128
    """Numbers that stand for a character between the blocks; a multiple of twice num_heads."""
    dropout: float = 0.0
    """Share of activations dropped in training, 0 to below 1. Above 0, results depend on the world size."""

    def faults(self) -> Iterator[str]:
        """Yield each value that is out of its range."""
        for name in ("context", "num_layers", "num_heads", "width"):
            if getattr(self, name) < 1:
                yield f"model.{name}: {getattr(self, name)} is not positive"
        # Rotary positions turn the numbers of a head in pairs.
        if self.num_heads > 0 and self.width % (2 * self.num_heads):
            yield f"model.width: {self.width} is not a multiple of twice num_heads ({2 * self.num_heads})"
        if not 0 <= self.dropout < 1:
            yield f"model.dropout: {self.dropout} is not in [0, 1)"


ModelConfig = DigitsCNNConfig | GPTConfig
MODEL_CONFIGS: Mapping[str, type[ModelConfig]] = {"digits_cnn": DigitsCNNConfig, "gpt": GPTConfig}
