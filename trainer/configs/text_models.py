"""What the bundled models of text can be asked to be: continuing it, and telling its class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class GPTShape:
    """The sizes that the cost of a GPT follows from."""

    context: int
    num_layers: int
    num_heads: int
    width: int


GPT_SIZES: Mapping[str, GPTShape] = {
    "mini": GPTShape(context=128, num_layers=4, num_heads=4, width=128),
    "10m": GPTShape(context=512, num_layers=6, num_heads=5, width=320),
    "50m": GPTShape(context=1024, num_layers=8, num_heads=8, width=512),
    "124m": GPTShape(context=1024, num_layers=12, num_heads=12, width=768),
    "350m": GPTShape(context=1024, num_layers=24, num_heads=16, width=1024),
    "760m": GPTShape(context=2048, num_layers=24, num_heads=12, width=1536),
    "1.3b": GPTShape(context=2048, num_layers=24, num_heads=16, width=2048),
}
"""The one dial. The names count the parameters with GPT-2's vocabulary of 50,257 tokens (`10m`: of 8,192).
124m and 350m are GPT-2's shapes (Radford et al. 2019, table 2), 760m and 1.3b those of GPT-3 (Brown et al.,
arXiv 2005.14165, table 2.1) with heads of 128 numbers, as Llama has them."""


@dataclass(frozen=True, kw_only=True)
class GPTConfig:
    """A decoder-only transformer that predicts the next token (`auto`: what `size` says)."""

    kind: Literal["gpt"] = "gpt"
    size: Literal["mini", "10m", "50m", "124m", "350m", "760m", "1.3b"] = "mini"
    """Parameters of the whole; decides what the four dials below leave at auto."""
    context: int | Literal["auto"] = "auto"
    """Tokens that a prediction can look back on, itself included; the length of a training sample."""
    num_layers: int | Literal["auto"] = "auto"
    """Transformer blocks."""
    num_heads: int | Literal["auto"] = "auto"
    """Attention heads of a block."""
    width: int | Literal["auto"] = "auto"
    """Numbers that stand for a token between the blocks; a multiple of twice num_heads."""
    feed_forward: Literal["relu2", "gelu", "swiglu"] = "relu2"
    """What a block does between attentions, of the same number of weights each: relu2, a squared ReLU (D. So
    et al., Primer, arXiv 2109.08668), the cheapest, and the best on the recipe gpt-bpe; gelu as in GPT-2;
    swiglu as in Llama (N. Shazeer, arXiv 2002.05202)."""
    tied: bool = True
    """Whether the scores are made with the embedding's own weights, as in GPT-2, or with others."""
    dropout: float = 0.0
    """Share of activations dropped in training, 0 to below 1. Above 0, results depend on the world size."""

    @property
    def shape(self) -> GPTShape:
        """Return the sizes, those at auto taken from `size`."""
        sized = GPT_SIZES[self.size]
        return GPTShape(
            context=sized.context if self.context == "auto" else self.context,
            num_layers=sized.num_layers if self.num_layers == "auto" else self.num_layers,
            num_heads=sized.num_heads if self.num_heads == "auto" else self.num_heads,
            width=sized.width if self.width == "auto" else self.width,
        )

    def faults(self) -> Iterator[str]:
        """Yield each value that is out of its range."""
        shape = self.shape
        for name in ("context", "num_layers", "num_heads", "width"):
            if getattr(shape, name) < 1:
                yield f"model.{name}: {getattr(shape, name)} is not positive"
        yield from _head_faults(shape.width, shape.num_heads)
        if not 0 <= self.dropout < 1:
            yield f"model.dropout: {self.dropout} is not in [0, 1)"


@dataclass(frozen=True, kw_only=True)
class TextClassifierConfig:
    """A network that tells a text's class from its tokens."""

    kind: Literal["text_classifier"] = "text_classifier"
    context: int = 256
    """Tokens of a text that are read; what is longer is cut."""
    num_layers: int = 0
    """Transformer blocks over the tokens; 0 takes the tokens' and token pairs' mean, whatever their order."""
    num_heads: int = 4
    """Attention heads of a block."""
    width: int = 128
    """Numbers that stand for a token; a multiple of twice num_heads."""
    pair_buckets: int = 32768
    """Rows of the table that pairs of neighbouring tokens are hashed into; 0 leaves the pairs out."""
    dropout: float = 0.0
    """Share of activations dropped in training, 0 to below 1. Above 0, results depend on the world size."""

    def faults(self) -> Iterator[str]:
        """Yield each value that is out of its range."""
        for name in ("context", "num_heads", "width"):
            if getattr(self, name) < 1:
                yield f"model.{name}: {getattr(self, name)} is not positive"
        for name in ("num_layers", "pair_buckets"):
            if getattr(self, name) < 0:
                yield f"model.{name}: {getattr(self, name)} is negative"
        yield from _head_faults(self.width, self.num_heads)
        if not 0 <= self.dropout < 1:
            yield f"model.dropout: {self.dropout} is not in [0, 1)"


def _head_faults(width: int, num_heads: int) -> Iterator[str]:
    # Rotary positions turn the numbers of a head in pairs.
    if num_heads > 0 and width % (2 * num_heads):
        yield f"model.width: {width} is not a multiple of twice num_heads ({2 * num_heads})"
